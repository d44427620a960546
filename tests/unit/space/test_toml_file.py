from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from nas.errors import SpecificationError
from nas.space.toml_file import read_toml, validation_faults
from nas.study.budget_spec import BudgetSpec
from nas.study.data_spec import DataSpec


def test_tables_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('name = "ä"\n[budget]\ntrials = 1_000\n', encoding="utf-8")
    assert read_toml(tmp_path / "a.toml") == {"name": "ä", "budget": {"trials": 1000}}


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "cannot be read: No such file"),
        (b"name = ", "not valid TOML: "),
        (b"a = 1\na = 2", "not valid TOML: "),
        (b'name = "\xff"', "not valid TOML: "),
        ('name = "a"'.encode("utf-16"), "not valid TOML: UTF-16 text; save the file as UTF-8"),
    ],
)
def test_what_cannot_be_read_is_explained(tmp_path: Path, content: bytes | None, fault: str) -> None:
    path = tmp_path / "a.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SpecificationError) as caught:
        read_toml(path)
    assert str(caught.value).startswith(f"{path}: {fault}")


def test_byte_order_marks_line_ends_and_tabs_of_windows(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b'\xef\xbb\xbfname\t=\t"x"\r\n[budget]\r\ntrials = 1\r\n')
    assert read_toml(tmp_path / "a.txt") == {"name": "x", "budget": {"trials": 1}}


def test_paths_of_windows_and_of_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.toml").write_text('path = "C:\\Users"')
    with pytest.raises(SpecificationError, match="; write paths with / or in single quotes"):
        read_toml(tmp_path / "a.toml")
    with pytest.raises(SpecificationError, match="one of Linux here, in WSL /mnt/c/me/study"):
        read_toml(Path("C:\\me\\study.toml"))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.toml").write_text("a = 1")
    assert read_toml(Path("~/a.toml")) == {"a": 1}


def test_a_folder_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SpecificationError, match="cannot be read"):
        read_toml(tmp_path)


def test_faults_name_key_reason_and_value() -> None:
    with pytest.raises(ValidationError) as caught:
        BudgetSpec.model_validate({"epochs": 0, "max_params": "many"})
    assert sorted(validation_faults(caught.value, "budget")) == [
        "budget.epochs: input should be greater than or equal to 1 (given: 0)",
        "budget.max_params: input should be a valid integer (given: 'many')",
        "budget.trials: missing",
    ]


def test_a_fault_of_a_whole_table_has_no_trailing_key() -> None:
    with pytest.raises(ValidationError) as caught:
        DataSpec.model_validate({"source": "npz"})
    fault = "path: missing; say which npz in the file or with --data PATH"
    assert validation_faults(caught.value) == [fault]
    assert validation_faults(caught.value, "data") == [f"data: {fault}"]
