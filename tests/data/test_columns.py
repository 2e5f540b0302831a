"""Choosing the text and the label column."""

from __future__ import annotations

import pytest

from recurra.core.errors import DataError
from recurra.data import Record, Records, choose_columns, usable_rows


def table(columns: str, *rows: list[str], named: bool = True) -> Records:
    names = columns.split()
    records = [
        Record(str(n), dict(zip(names, row, strict=False)), f"data.csv:{n}") for n, row in enumerate(rows, start=2)
    ]
    return Records(records, tuple(names), "data.csv", named=named)


REVIEWS = table("when stars review", ["mon", "5", "good and long text"], ["tue", "1", "bad"], ["wed", "5", "so so"])
BARE = table("0 1 2", *[[str(n % 3), f"short {n}", f"a much longer text, number {n}"] for n in range(30)], named=False)


def test_usual_names() -> None:
    choice = choose_columns(REVIEWS)
    assert (choice.text, choice.label) == (("review",), "stars")
    assert choice.sentence == (
        "data.csv: text from column 'review', labels from column 'stars' "
        "(guessed; else pass --data.text_column or --data.label_column)."
    )
    assert choice.text_of(REVIEWS.rows[1]) == "bad"
    assert choice.label_of(REVIEWS.rows[1]) == "1"


def test_by_length_and_number_of_values() -> None:
    choice = choose_columns(BARE)
    assert (choice.text, choice.label) == (("2",), "0")


def test_as_asked() -> None:
    choice = choose_columns(BARE, "1+2", 0)
    assert (choice.text, choice.label, choice.text_column) == (("1", "2"), "0", "1+2")
    assert choice.text_of(BARE.rows[0]) == "short 0 a much longer text, number 0"
    assert "guessed" not in choice.sentence
    assert choose_columns(BARE, choice.text_column, choice.label).text == choice.text
    assert choose_columns(REVIEWS, 2, 1) == choose_columns(REVIEWS, "review", "stars")
    assert choose_columns(REVIEWS, "Review", "when").label == "when"


def test_one_asked_the_other_guessed() -> None:
    assert choose_columns(BARE, label_column="0").text == ("2",)
    assert choose_columns(REVIEWS, text_column="when").label == "stars"
    choice = choose_columns(REVIEWS, label_column="when")
    assert choice.text == ("review",)
    assert choice.sentence.endswith("(guessed; else pass --data.text_column).")


def test_without_label() -> None:
    choice = choose_columns(table("text", ["a"]), want_label=False)
    assert (choice.text, choice.label, choice.label_of(REVIEWS.rows[0])) == (("text",), None, "")


def test_missing_column_names_the_nearest() -> None:
    with pytest.raises(DataError) as caught:
        choose_columns(REVIEWS, "reviews", "stars")
    assert str(caught.value) == (
        "data.csv: no column 'reviews' (data.text_column). Did you mean `review`? Columns: when, stars, review."
    )
    with pytest.raises(DataError, match=r"no column 'sentiment' \(data.label_column\)"):
        choose_columns(REVIEWS, "review", "sentiment")
    with pytest.raises(DataError, match=r"numbered 0 to 2.*--data.header=yes"):
        choose_columns(BARE, "review")
    with pytest.raises(DataError, match=r"no column '3'"):
        choose_columns(BARE, 3)


def test_nothing_to_guess_from() -> None:
    with pytest.raises(DataError, match=r"no column looks like a label.*--data.label_column"):
        choose_columns(table("words", ["a"], ["b"]))
    with pytest.raises(DataError, match=r"no column is left for the text.*--data.format"):
        choose_columns(table("label", ["a"], ["b"]))
    with pytest.raises(DataError, match="text and the label at once"):
        choose_columns(REVIEWS, "review", "review")


def test_empty_labels() -> None:
    records = table("text label", ["a", "1"], ["b", " "], ["c", "0"], ["d", ""])
    choice = choose_columns(records)
    with pytest.raises(DataError) as caught:
        usable_rows(records, choice)
    assert str(caught.value) == (
        "data.csv:3: label column 'label' is empty. Drop the row, or pass --data.skip_bad_rows=true to skip and count "
        "such rows."
    )
    kept = usable_rows(records, choice, skip_bad_rows=True)
    assert [record.fields["text"] for record in kept] == ["a", "c"]
    assert kept.skipped == 2
    assert kept.notes == ("data.csv: 2 rows were skipped: label column 'label' is empty.",)


def test_missing_fields() -> None:
    records = table("text label", ["a", "1"], ["b"], ["c", "0"])
    choice = choose_columns(records)
    with pytest.raises(DataError, match=r"data.csv:3: has no field 'label'"):
        usable_rows(records, choice)
    assert len(usable_rows(records, choice, skip_bad_rows=True)) == 2


def test_all_labels_empty() -> None:
    records = table("text label", ["a", ""], ["b", ""])
    with pytest.raises(DataError, match="no usable rows"):
        usable_rows(records, choose_columns(records), skip_bad_rows=True)
