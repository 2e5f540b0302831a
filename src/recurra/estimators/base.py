"""What the estimators share: parameters, a temporary run folder, the fitted model."""

from __future__ import annotations

import inspect
import tempfile
from pathlib import Path
from typing import Any, Self

from recurra.core.errors import ConfigError, DataError, ModelFileError, did_you_mean
from recurra.recipes import recipe as recipe_named
from recurra.runs import Run, RunConfig, SavedModel, override
from recurra.runs import train as train_run


class Estimator:
    """Parameters are the constructor's arguments, kept as they are; fitting writes `model_`.

    scikit-learn's own rules (`get_params`, `set_params`, `clone`, `GridSearchCV`) hold without scikit-learn.
    """

    model_: SavedModel
    _estimator_type: str | None = None

    def __init__(
        self, recipe: str, epochs: int | None, seed: int, options: dict[str, Any] | None, verbose: bool
    ) -> None:
        self.recipe, self.epochs, self.seed = recipe, epochs, seed
        self.options, self.verbose = options, verbose

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The constructor's arguments by name; `deep` has no meaning here, as nothing is nested."""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self, **params: Any) -> Self:
        """Change arguments by name.

        Raises:
            ConfigError: an unknown name.
        """
        known = self._names()
        for name, value in params.items():
            if name not in known:
                raise ConfigError(f"{type(self).__name__} has no parameter `{name}`.{did_you_mean(name, known)}")
            setattr(self, name, value)
        return self

    def save(self, folder: str | Path) -> None:
        """Save the fitted model; `recurra.load` reads it."""
        self._fitted().save(folder)

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn wants to know before it splits, searches or scores; called by scikit-learn alone."""
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        classifies = self._estimator_type == "classifier"
        return Tags(
            estimator_type=self._estimator_type,
            target_tags=TargetTags(required=classifies),
            classifier_tags=ClassifierTags() if classifies else None,
            input_tags=InputTags(two_d_array=False, one_d_array=True, string=True),
        )

    def __repr__(self) -> str:
        defaults = inspect.signature(type(self).__init__).parameters
        shown = [f"{n}={v!r}" for n, v in self.get_params().items() if v != defaults[n].default]
        return f"{type(self).__name__}({', '.join(shown)})"

    @classmethod
    def _names(cls) -> list[str]:
        return [name for name in inspect.signature(cls.__init__).parameters if name != "self"]

    def _fitted(self) -> SavedModel:
        if not hasattr(self, "model_"):
            raise ModelFileError(f"this {type(self).__name__} is not fitted yet: call fit first.")
        return self.model_

    def _fit(
        self,
        rows: str,
        suffix: str,
        overrides: dict[str, Any],
        *,
        reading: dict[str, Any] | None = None,
        config: RunConfig | None = None,
    ) -> Self:
        """Train on `rows`, written to a temporary file, in a temporary run folder.

        Args:
            rows: text of the file.
            suffix: of the file.
            overrides: dotted options; the user's go over them.
            reading: dotted options that go over the user's: how the file is read.
            config: what is overridden; None: the recipe.
        """
        chosen: dict[str, Any] = {"training.tensorboard": "never", "seed": self.seed}
        if self.epochs is not None:
            chosen["training.epochs"] = self.epochs
        chosen |= overrides | (self.options or {}) | (reading or {})
        resolved = recipe_named(self.recipe) if config is None else config
        with tempfile.TemporaryDirectory(prefix="recurra-") as folder:
            path = Path(folder) / f"train{suffix}"
            path.write_text(rows, encoding="utf-8")
            given = override(resolved, {"data.train": str(path), **chosen})
            say = print if self.verbose else (lambda _: None)
            run = Run(config=given, out=Path(folder) / "run", quiet=not self.verbose, say=say)
            try:
                self.model_ = train_run(run)
            except DataError as error:
                # nobody knows a file that is gone
                raise DataError(str(error).replace(str(path), "the data")) from error
        return self
