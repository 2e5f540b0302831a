"""A comparison as a page: the intervals drawn, the table, what it says; offline, in light and dark."""

from __future__ import annotations

from typing import Literal

from recurra.comparison.findings import Comparison, Row
from recurra.comparison.table import seconds, signed, spread, verdicts
from recurra.runs.axes import Axis, display_width, escape, format_number, format_tick, linear_span, shorten
from recurra.runs.page import card, document, figure, muted, section, table
from recurra.runs.wording import metric_name

WIDTH, RIGHT, LINE, FOOT = 760, 24, 30, 34
_LONGEST_NAME = 34

WORDS = {
    "en": {
        "html": "en",
        "title": "Comparison",
        "items": "{:,} items of {}",
        "max": "more is better",
        "min": "less is better",
        "chart": "Figures and their 95 % intervals",
        "chart_note": "The line is where the figure would lie on other test sets of the same size, items drawn anew "
        "2,000 times; over several seeds the dot is their mean. Hollow dots are cheap baselines.",
        "table": "Table",
        "name": "run",
        "interval": "95 % interval",
        "difference": "difference",
        "reference": "reference",
        "seeds": "seeds",
        "p": "p (bootstrap)",
        "mcnemar": "p (McNemar)",
        "core_seconds": "core-seconds of training",
        "parameters": "weights",
        "megabytes": "MB",
        "milliseconds": "ms an item",
        "metrics": "Further figures",
        "footer": "Written by recurra. This page loads nothing from elsewhere.",
    },
    "zh": {
        "html": "zh-CN",
        "title": "模型比较",
        "items": "{1} 上的 {0:,} 个样本",
        "max": "越大越好",
        "min": "越小越好",
        "chart": "指标及其 95% 置信区间",
        "chart_note": "横线表示在同样大小的其他测试集上指标会落在哪里（样本重抽 2,000 次）；"
        "多个随机种子时，圆点为平均值。空心圆点为简单基线。",
        "table": "表格",
        "name": "运行",
        "interval": "95% 区间",
        "difference": "差值",
        "reference": "参照",
        "seeds": "种子数",
        "p": "p（自助法）",
        "mcnemar": "p（McNemar）",
        "core_seconds": "训练用时（核秒）",
        "parameters": "权重数",
        "megabytes": "MB",
        "milliseconds": "每样本毫秒",
        "metrics": "其他指标",
        "footer": "由 recurra 生成。本页不从外部加载任何内容。",
    },
}


def comparison_page(found: Comparison, lang: Literal["en", "zh"] = "en") -> str:
    """The page as HTML."""
    words = WORDS[lang]
    tag = metric_name(found.tag, lang)
    facts = f"{found.task} · {words['items'].format(found.num_items, found.split)} · {tag}, {words[found.wanted]}"
    title = f"{words['title']}: {tag}"
    header = f"<header><h1>{escape(title)}</h1><p>{escape(facts)}</p></header>"
    said = "".join(f"<p>{escape(sentence)}</p>" for sentence in verdicts(found, lang))
    drawn = figure(words["chart"], tag, interval_chart(found), [], words["chart_note"])
    body = [
        card(said, "notes") if said else "",
        f'<section class="wide">{drawn}</section>',
        section(words["table"], card(_table(found, words, tag))),
        section(words["metrics"], card(_metrics(found, words, lang))),
    ]
    return document(title, words["html"], header + "".join(body) + muted(words["footer"]))


def interval_chart(found: Comparison) -> str:
    """A line for each row with its interval, and a hollow dot for each baseline, as an <svg>."""
    lines = [(row.name, row.figure.mean, row.interval, row.name == found.reference) for row in found.rows]
    baselines = [(name, figures[found.tag]) for name, figures in found.baselines.items()]
    ends = [end for _, mean, own, _ in lines for end in (mean, *(own or ()))] + [value for _, value in baselines]
    names = [shorten(name, _LONGEST_NAME) for name in (*(one[0] for one in lines), *(one[0] for one in baselines))]
    left = 24 + round(6.9 * max(display_width(name) for name in names))
    axis = Axis(*linear_span(ends, 0.05), left, WIDTH - RIGHT)
    floor = LINE * len(names) + 6
    ticks = [(axis.place(tick), escape(format_tick(tick))) for tick in axis.ticks()]
    parts = [
        f'<line class="grid" x1="{at}" y1="4" x2="{at}" y2="{floor}"/>'
        f'<text class="tick" x="{at}" y="{floor + 16}" text-anchor="middle">{text}</text>'
        for at, text in ticks
    ]
    for place, name in enumerate(names):
        y = LINE * place + LINE // 2 + 4
        parts.append(f'<text class="label" x="{left - 14}" y="{y + 4}" text-anchor="end">{escape(name)}</text>')
    for place, (name, mean, own, is_reference) in enumerate(lines):
        y, colour = LINE * place + LINE // 2 + 4, 2 if is_reference else 1
        low, high = own or (mean, mean)
        tip = f"{name}: {format_number(mean)}" + (
            "" if own is None else f" ({format_number(low)} – {format_number(high)})"
        )
        parts.append(
            f'<g><title>{escape(tip)}</title><line class="line s{colour}" x1="{axis.place(low)}" y1="{y}" '
            f'x2="{axis.place(high)}" y2="{y}"/><circle class="dot s{colour}" cx="{axis.place(mean)}" cy="{y}" '
            'r="5"/></g>'
        )
    for place, (name, value) in enumerate(baselines, start=len(lines)):
        y, tip = LINE * place + LINE // 2 + 4, f"{name}: {format_number(value)}"
        parts.append(
            f'<circle class="line s4" cx="{axis.place(value)}" cy="{y}" r="4"><title>{escape(tip)}</title></circle>'
        )
    return (
        f'<svg viewBox="0 0 {WIDTH} {floor + FOOT}" role="img" aria-label="{escape(found.tag)}">{"".join(parts)}</svg>'
    )


def _table(found: Comparison, words: dict[str, str], tag: str) -> str:
    head = ["name", "seeds", "", "interval", "difference", "p", "mcnemar"]
    costs = ["core_seconds", "parameters", "megabytes", "milliseconds"]
    rows = [[*_result(row, words), *_cost(row)] for row in found.rows]
    rows += [[name, "", format_number(figures[found.tag]), *[""] * 8] for name, figures in found.baselines.items()]
    titles = [tag if key == "" else words[key] for key in (*head, *costs)]
    used = [place for place in range(len(titles)) if any(row[place] for row in rows)]
    return table([titles[place] for place in used], [[row[place] for place in used] for row in rows])


def _result(row: Row, words: dict[str, str]) -> list[str]:
    held = "" if row.interval is None else " – ".join(map(format_number, row.interval))
    cells = [row.name, str(len(row.runs)), spread(row), held]
    gap = row.difference
    if gap is None:
        return [*cells, words["reference"], "", ""]
    return [*cells, signed(gap.mean), *("" if p is None else f"{p:.4f}" for p in (gap.p, gap.mcnemar))]


def _cost(row: Row) -> list[str]:
    cost = row.cost
    return [seconds(cost), f"{cost.parameters:,}", f"{cost.num_bytes / 1e6:.1f}", f"{cost.milliseconds:.3g}"]


def _metrics(found: Comparison, words: dict[str, str], lang: str) -> str:
    systems = {row.name: {tag: own.mean for tag, own in row.metrics.items()} for row in found.rows}
    systems |= {name: dict(figures) for name, figures in found.baselines.items() if name not in systems}
    tags = [tag for tag in dict.fromkeys(tag for own in systems.values() for tag in own) if "/" not in tag]
    rows = [[name, *(format_number(own[tag]) if tag in own else "–" for tag in tags)] for name, own in systems.items()]
    return table([words["name"], *(metric_name(tag, lang) for tag in tags)], rows)
