"""What a diagnosis says: a fault by name, the figures that show it, and the options that mend it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from recurra.diagnosis.wording import FINDINGS, FindingName, in_words

Severity = Literal["fault", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault.

    Attributes:
        name: of the fault; its words in both languages stand in `wording.FINDINGS`.
        severity: a fault keeps the model from what it could do; a warning may be meant.
        figures: what was measured, as the sentences show it.
        overrides: options that mend it, or should be tried first; empty where the mend is not in the options.
    """

    name: FindingName
    severity: Severity
    figures: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def title(self, lang: str = "en") -> str:
        """The fault in a few words."""
        return FINDINGS[self.name][lang].title

    def sentence(self, lang: str = "en") -> str:
        """What was seen, with its figures."""
        return FINDINGS[self.name][lang].seen.format(**self._figures(lang))

    def mend(self, lang: str = "en") -> str:
        """What to do."""
        return FINDINGS[self.name][lang].mend.format(**self._figures(lang))

    def _figures(self, lang: str) -> dict[str, Any]:
        """The figures, layers and gates by their names in the language; `name_zh` stands for `name` in Chinese."""
        own = {key.removesuffix("_zh"): value for key, value in self.figures.items() if key.endswith(f"_{lang}")}
        shown = {**self.figures, **own}
        return {key: in_words(value, lang) if key in ("layer", "gate") else value for key, value in shown.items()}

    def options(self) -> str:
        """The overrides as they are typed."""
        return " ".join(f"{key}={_typed(value)}" for key, value in self.overrides.items())


def _typed(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
