"""The words of a diagnosis, in English and Chinese."""

from __future__ import annotations

from typing import Literal, NamedTuple

FindingName = Literal[
    "leak",
    "sees-ahead",
    "padding-read",
    "labels-unrelated",
    "learning-rate",
    "clipping",
    "diverged",
    "exploding",
    "dead-units",
    "vanishing",
    "saturated",
    "window-too-short",
    "padding-dominates",
    "padded-file",
    "not-learning",
]


class Words(NamedTuple):
    """A finding in one language.

    Attributes:
        title: a few words.
        seen: a sentence with the figures in braces.
        mend: what to do.
    """

    title: str
    seen: str
    mend: str


FINDINGS: dict[FindingName, dict[str, Words]] = {
    "leak": {
        "en": Words(
            "An input gives the target away",
            "By itself, {where} tells the target: {told:.1%} right or explained, where the commonest answer or the "
            "next best input reaches {usual:.1%}.",
            "Is it known when the model will be used? If not, take it out of the file (data.text_column or the columns "
            "of data.series choose what is read); if it is, a rule does the work of this network.",
        ),
        "zh": Words(
            "输入泄露了目标",
            "仅凭 {where} 就能得知目标：正确率或可解释比例为 {told:.1%}，而最常见答案或次优输入只有 {usual:.1%}。",
            "实际使用模型时，这个输入是否已知？若未知，请将其从文件中去掉（用 data.text_column 或 data.series "
            "选择要读取的列）；若已知，一条规则即可完成任务，无需网络。",
        ),
    },
    "sees-ahead": {
        "en": Words(
            "The model sees what it is to foretell",
            "The answer to a step changes with the inputs after it, by {change:.1%} of its size.",
            "Use layers that read in one direction, and mask what lies ahead.",
        ),
        "zh": Words(
            "模型看到了它要预测的内容",
            "某一步的输出会随其后的输入而变化，变化幅度为输出大小的 {change:.1%}。",
            "请使用单向读取的层，并遮住后面的内容。",
        ),
    },
    "padding-read": {
        "en": Words(
            "The model reads padding",
            "With other values on the padding the answers change by {change:.1%} of their size: what a row is told "
            "depends on the rows beside it.",
            "Give the lengths to every layer: recurra's layers take `Sequences`, stop at each row's own end and read "
            "its last real step; do not take outputs[:, -1], nor a mean over all steps.",
        ),
        "zh": Words(
            "模型读取了填充",
            "改变填充处的值后，输出变化了 {change:.1%}：同一行的结果会受同批其他行长度的影响。",
            "把各行长度传给每一层：recurra 的层接收 `Sequences`，在每行自己的末尾停止，并读取最后一个真实步；"
            "不要取 outputs[:, -1]，也不要对所有步求平均。",
        ),
    },
    "labels-unrelated": {
        "en": Words(
            "The targets seem to have nothing to do with the inputs",
            "On held-out data the model does no better with the true targets (loss {own:.3f}) than with exchanged ones "
            "({exchanged:.3f}), while the training loss is {train:.3f}; {cheap}.",
            "Look whether labels and inputs were shuffled apart (a sort or join of one column only), or whether the "
            "label column is the right one (data.label_column). If both are, {rows:,} rows are too few to tell.",
        ),
        "zh": Words(
            "目标似乎与输入无关",
            "在留出数据上，模型面对真实目标的损失（{own:.3f}）并不比面对打乱后的目标（{exchanged:.3f}）更低，"
            "而训练损失为 {train:.3f}；{cheap}。",
            "请检查标签与输入是否被分别打乱（例如只对一列排序或连接），或标签列是否选对（data.label_column）。若都没有问题，"
            "那么 {rows:,} 行太少，无法判断。",
        ),
    },
    "learning-rate": {
        "en": Words(
            "The learning rate is too high",
            "In short trainings of {updates} updates the loss goes from {first:.3f} to {own} with a rate of {rate:g}, "
            "and to {other:.3f} with {better:g}; an update changes weights by {ratio:.1%} of their size.",
            "Lower the learning rate to about {better:g}.",
        ),
        "zh": Words(
            "学习率过高",
            "在 {updates} 次更新的短训练中，损失从 {first:.3f} 开始，学习率 {rate:g} 时到 {own}，而 {better:g} 时到 "
            "{other:.3f}；一次更新使权重改变其大小的 {ratio:.1%}。",
            "把学习率降到约 {better:g}。",
        ),
    },
    "clipping": {
        "en": Words(
            "Gradients are clipped far too short",
            "{clipped:.0%} of the updates were clipped, the usual gradient by {shrunk:.0f} times; in a short training "
            "the loss goes from {first:.3f} to {own} with a bound of {bound:g}, and to {other:.3f} with {better:g}.",
            "Raise the bound to the usual norm, about {better:g}: it is to catch what is out of the common.",
        ),
        "zh": Words(
            "梯度裁剪过紧",
            "{clipped:.0%} 的更新被裁剪，通常的梯度被缩短 {shrunk:.0f} 倍；在短训练中，损失从 {first:.3f} 开始，"
            "上限 {bound:g} 时到 {own}，{better:g} 时到 {other:.3f}。",
            "把上限提高到通常的范数，约 {better:g}：裁剪只应针对异常的梯度。",
        ),
    },
    "diverged": {
        "en": Words(
            "The training breaks off",
            "After {updates} updates the loss or the gradient stops being finite, also with a tenth of the learning "
            "rate ({rate:g}).",
            "Look for huge or missing values in the data, and set optimizer.clip_norm=1.",
        ),
        "zh": Words(
            "训练中断",
            "{updates} 次更新后，损失或梯度不再是有限值；学习率降到十分之一（原为 {rate:g}）也是如此。",
            "检查数据中是否有极大或缺失的值，并设置 optimizer.clip_norm=1。",
        ),
    },
    "exploding": {
        "en": Words(
            "Gradients explode through time",
            "{layer}: a change of the state grows {growth:.3g} times over {steps} steps (largest Lyapunov exponent "
            "{exponent:+.2f}; {cell}, recurrent spectral radius {radius}).",
            "Begin with an orthogonal or identity recurrent matrix, or use a gated cell (LSTM with forget bias 1, "
            "GRU), and clip the gradient norm at 1.",
        ),
        "zh": Words(
            "梯度随时间爆炸",
            "{layer}：状态的微小变化在 {steps} 步内放大 {growth:.3g} 倍（最大李雅普诺夫指数 {exponent:+.2f}；"
            "{cell}，循环矩阵谱半径 {radius}）。",
            "用正交或单位矩阵初始化循环权重，或改用门控单元（遗忘偏置为 1 的 LSTM、GRU），并把梯度范数裁剪到 1。",
        ),
    },
    "dead-units": {
        "en": Words(
            "Units are dead",
            "{layer}: {dead:.0%} of the units say the same at every step of every row ({cell}): no gradient reaches "
            "them any more.",
            "Lower the learning rate, begin with biases of 0 and inputs of mean 0 and deviation 1, or use tanh or a "
            "gated cell instead of ReLU.",
        ),
        "zh": Words(
            "存在死亡单元",
            "{layer}：{dead:.0%} 的单元在所有行的所有步上输出不变（{cell}），梯度再也到不了它们。",
            "降低学习率，偏置从 0 开始，输入标准化为均值 0、方差 1，或把 ReLU 换成 tanh 或门控单元。",
        ),
    },
    "vanishing": {
        "en": Words(
            "Gradients vanish through time",
            "{layer}: beyond {steps} steps less than a thousandth of the gradient is left ({cell}; {share:.0%} of the "
            "units at the end of their range, recurrent spectral radius {radius}, largest Lyapunov exponent "
            "{exponent:+.2f}), and {room}.",
            "Use an LSTM with forget bias 1 or a GRU; where the cell is to stay, tanh or ReLU with an orthogonal or "
            "identity recurrent matrix.",
        ),
        "zh": Words(
            "梯度随时间消失",
            "{layer}：超过 {steps} 步后，剩下的梯度不到千分之一（{cell}；{share:.0%} 的单元处于取值范围的两端，"
            "循环矩阵谱半径 {radius}，最大李雅普诺夫指数 {exponent:+.2f}），而{room}。",
            "改用遗忘偏置为 1 的 LSTM 或 GRU；若要保留该单元，请用 tanh 或 ReLU，并以正交或单位矩阵初始化循环权重。",
        ),
    },
    "saturated": {
        "en": Words(
            "Units sit at the end of their range",
            "{layer}: {share:.0%} of the values of the {gate} lie within 0.05 of either end, where the slope is about "
            "0.",
            "Scale the inputs to mean 0 and deviation 1, lower the learning rate, and begin with smaller weights.",
        ),
        "zh": Words(
            "单元饱和",
            "{layer}：{gate} 的取值有 {share:.0%} 离两端不到 0.05，那里斜率接近 0。",
            "把输入标准化为均值 0、方差 1，降低学习率，并用更小的初始权重。",
        ),
    },
    "window-too-short": {
        "en": Words(
            "The training window is shorter than the memory that the data ask for",
            "What stood {distance} steps back tells {found:.2f} nats of the next token (of {entropy:.2f} in all), more "
            "than anything else beyond the nearest neighbours; windows of {window} steps hide it from the gradient.",
            "Take windows of at least {better} steps.",
        ),
        "zh": Words(
            "训练窗口短于数据所需的记忆",
            "{distance} 步之前的内容透露了下一个词元 {found:.2f} 奈特的信息（共 {entropy:.2f}），除最近的邻居外多于任何"
            "其他位置；{window} 步的窗口使梯度看不到它。",
            "把窗口加到至少 {better} 步。",
        ),
    },
    "padding-dominates": {
        "en": Words(
            "Batches are mostly padding",
            "{share:.0%} of the steps of the training batches are padding: 9 of 10 rows have at most {usual} steps, "
            "the longest {longest}.",
            "Cut or leave out the few long rows, or take smaller batches, which hold rows of similar length.",
        ),
        "zh": Words(
            "批次大部分是填充",
            "训练批次中 {share:.0%} 的步是填充：十分之九的行不超过 {usual} 步，最长的有 {longest} 步。",
            "截短或去掉少数过长的行，或减小批次，让同批的行长度相近。",
        ),
    },
    "padded-file": {
        "en": Words(
            "The file itself is padded",
            "{rows:.0%} of the rows end in one repeated value, the same for all of them, which takes {part:.0%} of "
            "their steps: the model learns from it as if it were data.",
            "Take the padding out of the file; recurra pads for itself, and reads none of it.",
        ),
        "zh": Words(
            "文件本身带有填充",
            "{rows:.0%} 的行以同一个重复的值结尾，它占这些行 {part:.0%} 的步：模型会把它当作数据来学习。",
            "请从文件中去掉填充；recurra 会自行填充，并且从不读取填充。",
        ),
    },
    "not-learning": {
        "en": Words(
            "The model has learnt nothing that holds on other data",
            "On held-out data it does no better with the true targets (loss {own:.3f}) than with exchanged ones "
            "({exchanged:.3f}), and {cheap}.",
            "Train longer, raise the learning rate (an update changes weights by {ratio:.2%} of their size), or take a "
            "smaller network with more dropout where the training loss ({train:.3f}) is far below.",
        ),
        "zh": Words(
            "模型没有学到可推广的东西",
            "在留出数据上，面对真实目标的损失（{own:.3f}）并不比面对打乱后的目标（{exchanged:.3f}）更低，而{cheap}。",
            "训练更久，提高学习率（一次更新使权重改变其大小的 {ratio:.2%}）；若训练损失（{train:.3f}）低得多，"
            "则用更小的网络和更多的 dropout。",
        ),
    },
}

WORDS: dict[str, dict[str, str]] = {
    "en": {
        "html": "en",
        "title": "Diagnosis of {}",
        "sound": "No fault was found.",
        "found": "Findings: {}",
        "verdict": "Verdict",
        "fault": "fault",
        "warning": "warning",
        "seen": "Seen",
        "mend": "Mend",
        "try": "Try",
        "skipped": "Not measured",
        "instruments": "What was measured",
        "back": "steps back from the loss",
        "ahead": "steps later",
        "gradients": "Gradient through time",
        "gradients_note": "Mean size of dL/dh at each distance from the end, by layer. A straight line that "
        "falls halves every so many steps.",
        "gain": "What is left of a change of the state",
        "gain_note": "Product of the step Jacobians in the direction that lasts longest: below 1 it is forgotten, "
        "above 1 it grows without bound.",
        "memory": "Memory horizon",
        "memory_note": "How much the answer changes when the input at that distance is exchanged for another row's.",
        "spectrum": "Lyapunov exponents",
        "spectrum_note": "Nats a step in the leading directions of the state, largest first; 0 keeps what it holds.",
        "number": "direction",
        "needs": "What inputs tell of the target",
        "needs_note": "Mutual information above chance, by distance; the dashed line is the training window.",
        "distance": "steps back",
        "units": "Gates and units",
        "layer": "layer",
        "gate": "gate",
        "mean": "mean",
        "low": "at the low end",
        "high": "at the high end",
        "stuck": "units stuck there",
        "dynamics": "Layers",
        "weights": "weights",
        "fresh": "before training",
        "trained": "now",
        "radius": "spectral radius",
        "exponent": "largest Lyapunov exponent",
        "halved": "steps until 1/1000 is left",
        "dead": "dead units",
        "updates": "Updates and losses",
        "what": "what",
        "value": "value",
        "ratio": "size of an update, as a part of the weight",
        "worse": "updates that make their own batch worse",
        "clipped": "updates that were clipped",
        "norm": "usual gradient norm",
        "loss": "loss on {}",
        "exchanged": "loss on {}, targets exchanged",
        "baseline": "baseline {}",
        "padding": "padding in the batches",
        "trials": "Short trainings",
        "update": "update",
        "trial": "training with",
        "own": "its own options",
        "first": "first loss",
        "last": "last loss",
        "broke": "broke off",
        "train": "training data",
        "valid": "validation data",
        "config": "Configuration",
        "show": "Show",
        "footer": "Written by recurra. This page loads nothing from elsewhere.",
        "applied": "The mends stand in {0}. Train with them: recurra train {0}",
        "nothing": "There is no option to change: {} was not written.",
        "wrote": "The page with all plots: {}",
    },
    "zh": {
        "html": "zh-CN",
        "title": "{} 的诊断",
        "sound": "没有发现问题。",
        "found": "发现 {} 个问题",
        "verdict": "结论",
        "fault": "故障",
        "warning": "警告",
        "seen": "现象",
        "mend": "对策",
        "try": "试用",
        "skipped": "未能测量",
        "instruments": "测量结果",
        "back": "距损失的步数",
        "ahead": "之后的步数",
        "gradients": "沿时间反传的梯度",
        "gradients_note": "各层在距末尾各距离上 dL/dh 的平均大小。在此刻度上近似直线下降，表示每隔固定步数减半。",
        "gain": "状态变化的残留",
        "gain_note": "各步雅可比矩阵之积在保留最久的方向上的大小：小于 1 会被遗忘，大于 1 会无限增长。",
        "memory": "记忆范围",
        "memory_note": "把该距离上的输入换成另一行的输入后，输出改变多少。",
        "spectrum": "李雅普诺夫指数",
        "spectrum_note": "状态主要方向上每步的奈特数，由大到小；0 表示保持不变。",
        "number": "方向",
        "needs": "输入透露的目标信息",
        "needs_note": "各距离上高于偶然水平的互信息；虚线为训练窗口。",
        "distance": "向前的步数",
        "units": "门与单元",
        "layer": "层",
        "gate": "门",
        "mean": "平均值",
        "low": "处于低端",
        "high": "处于高端",
        "stuck": "卡在一端的单元",
        "dynamics": "各层",
        "weights": "权重",
        "fresh": "训练之前",
        "trained": "现在",
        "radius": "谱半径",
        "exponent": "最大李雅普诺夫指数",
        "halved": "剩余千分之一时的步数",
        "dead": "死亡单元",
        "updates": "更新与损失",
        "what": "项目",
        "value": "数值",
        "ratio": "一次更新相对权重的大小",
        "worse": "使本批损失变大的更新",
        "clipped": "被裁剪的更新",
        "norm": "通常的梯度范数",
        "loss": "{}上的损失",
        "exchanged": "{}上的损失（目标打乱）",
        "baseline": "基线 {}",
        "padding": "批次中的填充",
        "trials": "短训练",
        "update": "更新次数",
        "trial": "训练选项",
        "own": "自身选项",
        "first": "最初损失",
        "last": "最后损失",
        "broke": "中断",
        "train": "训练数据",
        "valid": "验证数据",
        "config": "配置",
        "show": "展开",
        "footer": "由 recurra 生成。本页不从外部加载任何内容。",
        "applied": "修改已写入 {0}。按其训练：recurra train {0}",
        "nothing": "没有可以修改的选项：未写入 {}。",
        "numbered": "第 {} 层",
        "forward": "（正向）",
        "backward": "（反向）",
        "wrote": "带有全部图表的页面：{}",
    },
}

PLACES = {
    "tokens": {"en": "the word {0}", "zh": "词 {0} "},
    "first": {"en": "the first value of {0}", "zh": "{0} 的第一个值"},
    "last": {"en": "the last value of {0}", "zh": "{0} 的最后一个值"},
    "mean": {"en": "the mean of {0}", "zh": "{0} 的平均值"},
    "past": {"en": "the covariate {0}, {1} steps before the target,", "zh": "目标之前 {1} 步的协变量 {0}"},
    "known": {"en": "the covariate {0} of the step {1} ahead", "zh": "往后第 {1} 步的协变量 {0}"},
    "step": {"en": "the input of a step", "zh": "该步的输入"},
}

GATES_ZH = {
    "forget gate": "遗忘门",
    "input gate": "输入门",
    "output gate": "输出门",
    "reset gate": "重置门",
    "update gate": "更新门",
    "candidate": "候选值",
    "shown cell": "细胞输出",
}


def in_words(name: str, lang: str) -> str:
    """A layer or gate in the language: "layer 1 forward" is 第 1 层（正向）."""
    if lang == "en":
        return name
    if name in GATES_ZH:
        return GATES_ZH[name]
    before, layer, after = name.rpartition("layer ")
    if not layer:
        return name
    number, _, direction = after.partition(" ")
    words = WORDS[lang]
    return before + words["numbered"].format(number) + (words[direction] if direction else "")
