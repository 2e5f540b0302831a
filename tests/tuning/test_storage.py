"""Storages that can't be reached, and what is told of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from recurra.core.errors import ConfigError
from recurra.tuning.storage import open_storage, public, require_optuna


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("study.db", "no URL"),
        ("postgresql://ada:secret@127.0.0.1:1/studies", r"ada:\*\*\*@127.0.0.1:1/studies: can't be reached.*refused"),
        ("sqlite:////no/such/folder/study.db", "can't be reached .unable to open database file.. Check the path"),
        ("oracel://host/studies", "no URL of a database"),
        ("journal:/proc/none/study.journal", "can't be opened"),
    ],
)
def test_what_is_no_storage(url: str, message: str) -> None:
    require_optuna()
    with pytest.raises(ConfigError, match=message) as fault:
        open_storage(url)
    assert "secret" not in str(fault.value)


@pytest.mark.parametrize("kind", ["journal:", "sqlite:///"])
def test_a_file_that_is_no_study(kind: str, tmp_path: Path) -> None:
    require_optuna()
    (tmp_path / "notes").write_text("these are no trials\nnor is this\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"damaged|not a database"):
        open_storage(f"{kind}{tmp_path}/notes")
    assert (tmp_path / "notes").read_text(encoding="utf-8").startswith("these")


def test_passwords_are_not_shown() -> None:
    assert public("postgresql://ada:se:cr@t@host/x") == "postgresql://ada:***@host/x"
    assert public("journal:runs/a.journal") == "journal:runs/a.journal"


def test_half_a_line_of_a_killed_process_harms_no_journal(tmp_path: Path) -> None:
    require_optuna()
    from optuna.study import StudyDirection

    path = tmp_path / "study.journal"
    study = open_storage(f"journal:{path}").create_new_study([StudyDirection.MINIMIZE], "book")
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"op_code":4,"worker_')
    storage = open_storage(f"journal:{path}")
    assert path.read_bytes() == whole and [file.name for file in tmp_path.iterdir()] == [path.name]
    storage.set_study_user_attr(study, "about", "letters")
    assert open_storage(f"journal:{path}").get_study_user_attrs(study) == {"about": "letters"}
