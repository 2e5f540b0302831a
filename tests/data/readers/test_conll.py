"""CoNLL and CoNLL-U: what is a sentence, what a column, what is left out, what is wrong; and lists as text."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from recurra.core.errors import DataError
from recurra.data import DataConfig, ReadOptions, Records, read_records
from recurra.data.sentences import choose_word_columns, cut_long, entries_of, read_sentences, strip_index

CONLLU = """\
# newdoc id = a
# text = vámonos al mar
1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tvamos\tir\tVERB\tVB\t_\t0\troot\t_\t_
2\tnos\tnosotros\tPRON\tPR\t_\t1\tobj\t_\t_
2.1\tnada\t_\t_\t_\t_\t_\t_\t1:dep\t_
3\tNew York\tNew York\tPROPN\tNN\t_\t1\tobl\t_\t_

# text = # is a word
1\t#\t#\tSYM\tSY\t_\t0\troot\t_\t_
"""


def read(folder: Path, content: str | bytes, name: str = "a.conll", **options: object) -> Records:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_records(path, ReadOptions(**options))  # type: ignore[arg-type]


def sentences(records: Records, **options: bool) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:
    choice = choose_word_columns(records, None, None)
    found, _ = read_sentences(records, choice, options.get("skip", False), options.get("strip", False))
    return [(one.words, one.tags) for one in found]


TWO = [(("Ada", "Lovelace"), ("B-PER", "I-PER")), (("wrote",), ("O",))]


@pytest.mark.parametrize(
    "content",
    [
        "Ada\tB-PER\nLovelace\tI-PER\n\nwrote\tO\n\n",
        "Ada\tB-PER\nLovelace\tI-PER\n\nwrote\tO",
        "\n\nAda B-PER\nLovelace  I-PER \n \t \n\n\nwrote \t O \n\n\n",
        "\ufeffAda\tB-PER\r\nLovelace\tI-PER\r\n\r\nwrote\tO\r\n",
        "-DOCSTART- O\n\nAda B-PER\nLovelace I-PER\n\n-DOCSTART- O\n\nwrote O\n",
        "-DOCSTART- -X- -X- O\n\nAda NNP B-NP B-PER\nLovelace NNP I-NP I-PER\n\nwrote VBD B-VP O\n",
        "# id 1\nAda _ _ B-PER\nLovelace _ _ I-PER\n\n# id 2\n# more\nwrote _ _ O\n",
    ],
    ids=["tabs", "no-end", "blanks", "windows", "docstart", "four-columns", "comments"],
)
def test_the_same_sentences(tmp_path: Path, content: str) -> None:
    assert sentences(read(tmp_path, content)) == TWO


@pytest.mark.parametrize("name", ["a.conll", "a.bio", "a.IOB2", "a.bioes.gz", "a.conllu"])
def test_endings(tmp_path: Path, name: str) -> None:
    content = CONLLU if "conllu" in name else "Ada\tB-PER\nLovelace\tI-PER\n\nwrote\tO\n"
    data = gzip.compress(content.encode()) if name.endswith(".gz") else content
    assert len(read(tmp_path, data, name)) == 2


def test_other_endings_by_option(tmp_path: Path) -> None:
    content = "a\tO\n\nb\tO\n"
    assert len(read(tmp_path, content, "a.train")) == 2 and read(tmp_path, content, "a.train").columns == ("text",)
    assert sentences(read(tmp_path, content, "a.train", format="conll")) == [(("a",), ("O",)), (("b",), ("O",))]
    records = read_records(tmp_path / "a.train", ReadOptions(), plain="conll")
    assert records.columns == ("0", "1")


def test_words_of_unusual_characters(tmp_path: Path) -> None:
    words = ("a\u00a0b", "\u3000", "x\u2028y", "\u200b", "#", "-DOCSTART-x")
    content = "".join(f"{word}\tO\n" for word in words)
    assert sentences(read(tmp_path, content)) == [(words, ("O",) * len(words))]
    in_blanks = "".join(f"{word} O\n" for word in words)
    assert sentences(read(tmp_path, in_blanks)) == [(words, ("O",) * len(words))]


def test_words_with_blanks_stand_between_tabs(tmp_path: Path) -> None:
    assert sentences(read(tmp_path, "New York\tB-LOC\nis\tO\n")) == [(("New York", "is"), ("B-LOC", "O"))]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\tO\nb\n\nc\tO\n", r"a.conll:2: 1 columns where the file has 2: a tab is missing or too many"),
        ("a O\nb O\n\nb c O\n", r"a.conll:4: 3 columns where the file has 2: a blank is missing or too many"),
        ("a\tO\n\tO\nc\tO\n", r"a.conll:2: column 0 is empty"),
    ],
)
def test_broken_rows_are_named_or_skipped(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, content)
    good = "x\tO\n\n" if "\t" in content else "x O\n\n"
    records = read(tmp_path, good + content, skip_bad_rows=True)
    assert records.skipped == 1 and "1 bad rows were skipped" in records.notes[-1]


def test_conllu_leaves_out_ranges_empty_nodes_and_comments(tmp_path: Path) -> None:
    records = read(tmp_path, CONLLU, "a.conllu")
    assert sentences(records) == [(("vamos", "nos", "New York"), ("VERB", "PRON", "PROPN")), (("#",), ("SYM",))]
    assert [record.where for record in records] == [f"{tmp_path / 'a.conllu'}:3", f"{tmp_path / 'a.conllu'}:10"]
    fine = choose_word_columns(records, "lemma", "xpos")
    assert read_sentences(records, fine, False)[0][0].tags == ("VB", "PR", "NN")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (CONLLU.replace("\tPRON\tPR", "\tPRON"), r"a.conllu:5: 9 columns where CoNLL-U has 10, parted by tabs"),
        (CONLLU.replace("2\tnos", "zwei\tnos"), r"a.conllu:5: 'zwei' is no word number"),
        (CONLLU.replace("PRON", ""), r"a.conllu:5: column 'upos' is empty"),
        ("# only a comment\n", "no usable rows"),
    ],
)
def test_broken_conllu(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, content, "a.conllu")


def test_columns_by_name_and_number(tmp_path: Path) -> None:
    records = read(tmp_path, "Ada NNP B-NP B-PER\n")
    assert choose_word_columns(records, None, None).sentence.endswith(
        "words from column '0', tags from column '3' (guessed; else pass --data.text_column or --data.label_column)."
    )
    assert choose_word_columns(records, 0, 1).label == "1"
    with pytest.raises(DataError, match=r"no column '7' \(data.label_column\)"):
        choose_word_columns(records, None, 7)
    with pytest.raises(DataError, match="one column only"):
        choose_word_columns(read(tmp_path, "Ada\n\nwrote\n", "b.conll"), None, None)


def test_json_lists_and_cells(tmp_path: Path) -> None:
    lines = (
        '{"words": ["New York", "is"], "tags": ["B-LOC", "O"]}\n{"words": [], "tags": []}\n'
        '{"words": ["New York"], "tags": ["B-LOC"]}\n{"words": ["a", "", "b"], "tags": ["O", "O", "O"]}\n'
    )
    wanted = [(("New York", "is"), ("B-LOC", "O")), ((), ()), (("New York",), ("B-LOC",)), (("a", "", "b"), ("O",) * 3)]
    assert sentences(read(tmp_path, lines, "a.jsonl")) == wanted
    assert sentences(read(tmp_path, "tokens,ner_tags\nAda  wrote,B-PER O\n", "a.csv", header="yes")) == [
        (("Ada", "wrote"), ("B-PER", "O"))
    ]
    assert entries_of("") == [] and entries_of("a\n\nb") == ["a", "", "b"] and entries_of(" a  b ") == ["a", "b"]


def test_words_and_tags_that_do_not_match(tmp_path: Path) -> None:
    lines = (
        '{"words": ["a", "b"], "tags": ["O", "O"]}\n{"words": ["a", "b"], "tags": ["O", "O", "O"]}\n{"words": ["a"]}\n'
    )
    records = read(tmp_path, lines, "a.jsonl")
    with pytest.raises(DataError, match=r"a.jsonl:2: 2 words \(words\) and 3 tags \(tags\): one tag a word is wanted"):
        sentences(records)
    choice = choose_word_columns(records, None, None)
    found, notes = read_sentences(records, choice, True)
    assert len(found) == 1 and "2 sentences were skipped; the first: " in notes[0]
    with pytest.raises(DataError, match=r"word 2 \('b'\) has an empty tag"):
        sentences(read(tmp_path, '{"words": ["a", "b", "c"], "tags": ["O", "", "O"]}\n', "b.jsonl"))
    with pytest.raises(DataError, match=r"no usable sentences\. .*has no field 'tags'"):
        bad = read(tmp_path, '{"words": ["a"]}\n', "c.jsonl")
        read_sentences(bad, choice, True)


def test_segmentation_marks(tmp_path: Path) -> None:
    assert [strip_index(word) for word in ("科0", "技1", "20", "7", "a")] == ["科", "技", "2", "7", "a"]
    records = read(tmp_path, "科0\tB-ORG.NAM\n技1\tI-ORG.NAM\n")
    assert sentences(records, strip=True) == [(("科", "技"), ("B-ORG.NAM", "I-ORG.NAM"))]


def test_long_and_empty_sentences_in_training(tmp_path: Path) -> None:
    records = read(tmp_path, '{"words": ["a","b","c"], "tags": ["X","Y","Z"]}\n{"words": [], "tags": []}\n', "a.jsonl")
    found, notes = cut_long(read_sentences(records, choose_word_columns(records, None, None), False)[0], 2)
    assert [(one.words, one.tags) for one in found] == [(("a", "b"), ("X", "Y")), (("c",), ("Z",))]
    assert notes == [
        "1 training sentences without a word are left out",
        "1 training sentences of more than 2 words are cut",
    ]


@pytest.mark.parametrize(
    ("name", "format", "num_sentences", "num_words"),
    [
        ("ud_english_ewt/en_ewt-ud-test.conllu.gz", "auto", 2077, 25094),
        ("wnut17_ner/wnut17train.conll", "auto", 3394, 62730),
        ("weibo_ner_zh/weiboNER_2nd_conll.test", "conll", 270, 14842),
    ],
)
def test_real_files(data_folder: Path, name: str, format: str, num_sentences: int, num_words: int) -> None:
    data = DataConfig.model_validate({"format": format})
    found = sentences(read_records(data_folder / "sequence_labelling" / name, data))
    assert (len(found), sum(len(words) for words, _ in found)) == (num_sentences, num_words)
