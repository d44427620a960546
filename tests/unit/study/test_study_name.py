from __future__ import annotations

from pathlib import Path

import pytest

from nas.errors import SpecificationError
from nas.finals.finals_study import finals_name
from nas.study.study_file import load_study
from nas.study.study_name import name_fault
from nas.study.study_spec import StudySpec
from tests.tiny_study import tiny_spec

STUDY = 'search_space = "space.toml"\n[data]\nsource = "digits"\n[budget]\ntrials = 2\nepochs = 1\n'
SPACE = '[architecture]\nfamily = "vgg"\n[recipe]\nlearning_rate = 0.01\nbatch_size = 32\n'


def _file(folder: Path, name: str, start: bytes = b"") -> Path:
    (folder / "space.toml").write_bytes(SPACE.encode())
    (folder / "study.txt").write_bytes(start + f'name = "{name}"\n{STUDY}'.encode())
    return folder / "study.txt"


@pytest.mark.parametrize("name", ["a", "0", "photos-2.1_b", "x" * 100])
def test_names(tmp_path: Path, name: str) -> None:
    assert load_study(_file(tmp_path, name)).name == name
    assert load_study(_file(tmp_path, "other"), name=name).name == name


@pytest.mark.parametrize("name", ["", " a", "a b", "-a", ".a", "ä", "a/b", "x" * 101, "a\n"])
def test_a_name_of_the_command_line_is_not_blamed_on_the_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecificationError) as caught:
        load_study(_file(tmp_path, "fine"), name=name)
    assert str(caught.value) == f"--name {name}: {name_fault(name)}"
    assert "^" not in str(caught.value)


def test_a_name_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(SpecificationError) as caught:
        load_study(_file(tmp_path, "a b"))
    assert str(caught.value).endswith(
        "name: not a name of a study: letters without accents, digits and . _ - alone, a letter or digit first "
        "(given: 'a b')"
    )
    with pytest.raises(SpecificationError, match="name: the name has 101 characters; give at most 100"):
        load_study(_file(tmp_path, "x" * 101))


def test_the_finals_of_the_longest_name_can_be_read_again() -> None:
    spec = tiny_spec(name="x" * 100)
    finals = spec.model_copy(update={"name": finals_name(spec.name)})
    assert StudySpec.model_validate_json(finals.model_dump_json()).name == "x" * 100 + "-finals"


def test_files_as_windows_writes_them(tmp_path: Path) -> None:
    path = _file(tmp_path, "windows", start=b"\xef\xbb\xbf")
    for file in (path, tmp_path / "space.toml"):
        file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n").replace(b" = ", b"\t=\t"))
    assert load_study(path).name == "windows"
