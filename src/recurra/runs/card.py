"""The model card: what a saved model is, what it was trained on, how well it does, how to use it."""

from __future__ import annotations

from typing import Any

from recurra.core.config import to_yaml
from recurra.runs.config import RunConfig
from recurra.tasks import FileTask


def model_card(config: RunConfig, task: FileTask, metrics: dict[str, Any]) -> str:
    """Markdown; `metrics` as `SavedModel.metrics`."""
    start = f"\nFine-tuned from `{config.finetune.start}`.\n" if config.finetune is not None else ""
    return f"""---
library_name: recurra
tags: [recurrent-neural-network, {config.task.kind}]
---
# {config.task.kind}: {config.model.kind}, {_size(config.model)}
{start}
Trained on {_source(config)} with seed {config.seed}.

## Results

{_table(metrics)}

## Use

```python
import recurra

model = recurra.load("FOLDER")
{task.usage}
```

## Configuration

```yaml
{to_yaml(config).strip()}
```

## Limits

{task.limits()}
"""


def _source(config: RunConfig) -> str:
    return "examples drawn by the task" if config.data.train is None else f"`{config.data.train}`"


def _size(model: Any) -> str:
    if hasattr(model, "members"):
        return " + ".join(f"{member.kind}, {_size(member)}" for member in model.members)
    if hasattr(model, "member"):
        return f"{model.num_members} times {model.member.kind}, each {_size(model.member)}"
    return f"{model.cell.kind}, {model.hidden_size} units"


def _table(metrics: dict[str, Any]) -> str:
    rows = [(name, metrics[name]) for name in ("valid", "test") if metrics.get(name)]
    for group in ("member", "baseline"):
        rows += [(f"{group}: {name}", values) for name, values in metrics.get(f"{group}s", {}).items()]
    tags = [tag for tag in dict.fromkeys(tag for _, values in rows for tag in values) if "/" not in tag]
    if not rows:
        return "Not evaluated."
    lines = ["| | " + " | ".join(tags) + " |", "|---" * (len(tags) + 1) + "|"]
    for name, values in rows:
        lines.append(f"| {name} | " + " | ".join(f"{values[tag]:.4f}" if tag in values else "" for tag in tags) + " |")
    return "\n".join(lines)
