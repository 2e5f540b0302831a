"""The pieces of a report page: its style, cards, sections and tables. What goes in as text comes out escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from recurra.runs.axes import escape, format_column

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
BAR_PIXELS = 52

STYLE = """
:root{color-scheme:light dark;--page:#f5f6f8;--card:#fff;--ink:#1a2230;--muted:#5b6677;--line:#e2e6eb;--grid:#eceff3;
--s1:#2563eb;--s2:#d9620a;--s3:#0f8a7e;--s4:#8b3fd1;--bad:#c81e3a;--on-heat:#fff;--soft:#f1f4f8}
@media (prefers-color-scheme:dark){:root{--page:#0e1319;--card:#161c25;--ink:#e3e8ef;--muted:#94a1b3;--line:#29323e;
--grid:#222b36;--s1:#6aa5ff;--s2:#f0955a;--s3:#41c4b4;--s4:#c08cf5;--bad:#ff6b81;--on-heat:#0b1016;--soft:#1c2430}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue","PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif}
main{max-width:1120px;margin:0 auto;padding:36px 20px 56px}
header p{margin:4px 0 0;color:var(--muted)}
h1{font-size:27px;line-height:1.25;margin:0;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{font-size:18px;margin:38px 0 12px}
h3{font-size:14px;font-weight:600;margin:0}h3 small{font-size:12.5px;font-weight:400;color:var(--muted);margin-left:6px}
.muted{color:var(--muted);font-size:13px;margin:8px 0 0}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:16px 18px}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,190px),1fr));gap:12px;margin-top:24px}
.tiles b{display:block;font-size:26px;font-weight:600;line-height:1.3;font-variant-numeric:tabular-nums}
.tiles span{color:var(--muted);font-size:13px}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,430px),1fr));gap:14px}
figure{margin:0;min-width:0}
figcaption{display:flex;flex-wrap:wrap;gap:4px 16px;justify-content:space-between;align-items:baseline;
margin-bottom:8px}
.legend{display:flex;flex-wrap:wrap;gap:2px 14px;list-style:none;margin:0;padding:0;color:var(--muted);font-size:12.5px}
.legend i{display:inline-block;width:16px;height:3px;border-radius:2px;margin-right:6px;vertical-align:middle}
.legend i.faint{opacity:.4}
.legend i.mark{background:repeating-linear-gradient(90deg,var(--muted) 0 4px,transparent 4px 6px);height:2px}
i.s1{background:var(--s1)}i.s2{background:var(--s2)}i.s3{background:var(--s3)}i.s4{background:var(--s4)}
svg{display:block;width:100%;height:auto;font-family:inherit;font-variant-numeric:tabular-nums}
.grid{stroke:var(--grid)}.base{stroke:var(--muted);stroke-opacity:.55}
.mark{stroke:var(--muted);stroke-dasharray:4 4}
.tick,.axis{font-size:11.5px;fill:var(--muted)}.label{font-size:12.5px;fill:var(--ink)}
.line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}
.line.faint{stroke-width:1;stroke-opacity:.33}
.line.s1{stroke:var(--s1)}.line.s2{stroke:var(--s2)}.line.s3{stroke:var(--s3)}.line.s4{stroke:var(--s4)}
.line.thin{stroke-width:1.3}.band{fill:var(--s1);fill-opacity:.16}.window{fill:var(--s2);fill-opacity:.2}
.flag{fill:var(--bad)}.legend i.band,.legend i.window{height:10px;opacity:.25}.legend i.band{background:var(--s1)}
.legend i.window{background:var(--s2)}.legend i.flag{background:var(--bad);width:8px;height:8px;border-radius:50%}
.wide{display:grid;gap:14px}
.dot{stroke:var(--card);stroke-width:1.2}
.dot.s1{fill:var(--s1)}.dot.s2{fill:var(--s2)}.dot.s3{fill:var(--s3)}.dot.s4{fill:var(--s4)}
.scroll{overflow-x:auto}
.matrix{margin:0 auto}.blank{fill:var(--soft)}.heat{fill:var(--s1)}
.cell{font-size:12px;fill:var(--ink)}.cell.strong{fill:var(--on-heat);font-weight:600}
.cell.none{fill:var(--muted);fill-opacity:.55}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:7px 12px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th{font-weight:600;color:var(--muted);font-size:13px;white-space:normal;vertical-align:bottom}
th:first-child,td:first-child{text-align:left;white-space:normal;overflow-wrap:break-word;padding-left:2px;min-width:6em}
.pairs :is(th,td):nth-child(2){text-align:left}
.texts{table-layout:fixed}.worst th:first-child{width:6em}.worst th:nth-child(2){width:56%}
.texts :is(th,td){text-align:left;white-space:normal;overflow-wrap:anywhere;vertical-align:top}
tbody tr:last-child>*{border-bottom:0}
tr.own>*{font-weight:650;color:var(--ink)}
.bar{background:linear-gradient(var(--s1),var(--s1)) no-repeat right calc(64px - var(--w)) bottom 2px/var(--w) 3px,
linear-gradient(var(--line),var(--line)) no-repeat right 12px bottom 2px/52px 3px}
.samples{display:grid;gap:12px}
pre{margin:0;white-space:pre-wrap;overflow-wrap:anywhere;font:13.5px/1.6 ui-monospace,SFMono-Regular,Menlo,Consolas,
"DejaVu Sans Mono","Noto Sans Mono CJK SC",monospace}
summary{cursor:pointer;font-weight:600}
details pre{margin-top:12px;border-top:1px solid var(--line);padding-top:12px}
.notes{margin-top:24px;border-left:4px solid var(--s2);padding:10px 16px}.notes p{margin:4px 0}
.notes+section{margin-top:14px}
@media print{body{background:#fff}.card{break-inside:avoid}}
"""


def document(title: str, lang: str, body: str) -> str:
    """The whole page around `body` (HTML); the policy forbids the browser to load or run anything."""
    return (
        f'<!doctype html>\n<html lang="{lang}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body><main>{body}</main></body></html>\n"
    )


def section(title: str, content: str) -> str:
    """A headed part of the page; nothing when there is no content (HTML)."""
    return f"\n<section><h2>{escape(title)}</h2>{content}</section>" if content else ""


def card(content: str, kind: str = "") -> str:
    """A box around HTML."""
    return f'<div class="card {kind}">{content}</div>' if kind else f'<div class="card">{content}</div>'


def muted(text: str) -> str:
    """A small remark; nothing when there is no text."""
    return f'<p class="muted">{escape(text)}</p>' if text else ""


def figure(title: str, unit: str, chart: str, legend: Sequence[tuple[str, str]], note: str) -> str:
    """A card with a chart (HTML); nothing without a chart.

    Args:
        legend: (label, CSS classes of its swatch).
    """
    if not chart:
        return ""
    keys = "".join(f'<li><i class="{classes}"></i>{escape(label)}</li>' for label, classes in legend)
    head = f"<h3>{escape(title)} <small>{escape(unit)}</small></h3>" + (
        f'<ul class="legend">{keys}</ul>' if keys else ""
    )
    return f'\n<figure class="card"><figcaption>{head}</figcaption>{chart}{muted(note)}</figure>'


def table(head: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "", last: str = "") -> str:
    """A table of texts.

    Args:
        kind: CSS class of the table.
        last: CSS class of the last row.
    """
    heads = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    return _table(heads, lines, kind, last)


def metrics_table(
    head: str,
    names: Mapping[str, str],
    systems: Mapping[str, Mapping[str, float | None]],
    *,
    bars: bool,
    last: str = "",
) -> str:
    """One row for each of `systems`, one column for each metric of `names`.

    Args:
        head: heading of the first column.
        names: readable name of each tag, in the order of the columns.
        bars: draw a bar under the numbers of each column that stays within 0..1.
        last: CSS class of the last row.
    """
    columns = []
    for tag in names:
        values = [metrics.get(tag) for metrics in systems.values()]
        drawn = bars and all(0 <= value <= 1 for value in values if value is not None)
        texts = format_column(values)
        columns.append([_bar_cell(t, v) if drawn else f"<td>{t}</td>" for t, v in zip(texts, values, strict=True)])
    lines = [
        f"<td>{escape(name)}</td>" + "".join(column[index] for column in columns) for index, name in enumerate(systems)
    ]
    heads = "".join(f"<th>{escape(cell)}</th>" for cell in (head, *names.values()))
    return _table(heads, lines, "", last)


def _table(heads: str, lines: Sequence[str], kind: str, last: str) -> str:
    classes = ["" for _ in lines[:-1]] + [f' class="{last}"' if last else ""]
    body = "".join(f"\n<tr{cls}>{line}</tr>" for cls, line in zip(classes, lines, strict=False))
    opening = f'<table class="{kind}">' if kind else "<table>"
    return f'<div class="scroll">{opening}<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'


def _bar_cell(text: str, value: float | None) -> str:
    pixels = 0 if value is None else round(value * BAR_PIXELS)
    return f'<td class="bar" style="--w:{pixels}px">{text}</td>'
