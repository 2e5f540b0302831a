"""Names of classes."""

from __future__ import annotations

import pytest

from recurra.core.errors import DataError
from recurra.data import Labels, fit_labels


@pytest.mark.parametrize(
    ("given", "names"),
    [
        (["b", "a", "b"], ("a", "b")),
        (["10", "9", "1"], ("1", "9", "10")),
        (["1.0", "1", "-3"], ("-3", "1", "1.0")),
        (["nan", "1", "2"], ("1", "2", "nan")),
        (["pos", "1"], ("1", "pos")),
    ],
)
def test_order(given: list[str], names: tuple[str, ...]) -> None:
    labels = fit_labels(given)
    assert labels.names == names and len(labels) == len(names)
    assert [labels.index(name, "") for name in names] == list(range(len(names)))


def test_unknown_label() -> None:
    with pytest.raises(DataError) as caught:
        Labels(["negative", "positive"]).index("postive", "test.csv:3")
    assert str(caught.value) == (
        "test.csv:3: label 'postive' is not one that the model was trained on. Did you mean `positive`? Correct the "
        "row, or train with rows of this label."
    )


def test_too_few() -> None:
    with pytest.raises(DataError, match="hold only 'a'"):
        fit_labels(["a", "a"])
    with pytest.raises(DataError, match="hold none"):
        fit_labels([])


def test_repeated() -> None:
    with pytest.raises(DataError, match="not distinct"):
        Labels(["a", "a"])
