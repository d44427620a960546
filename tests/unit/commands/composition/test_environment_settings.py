from __future__ import annotations

from pathlib import Path

import pytest

from nas.commands.composition.environment_settings import Settings, read_settings
from nas.errors import SettingsError


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"NAS_{name.upper()}", raising=False)


def test_defaults() -> None:
    settings = read_settings()
    assert settings.artifacts_folder == Path(".nas/artifacts")
    assert settings.data_folder == Path(".nas/data")
    assert settings.storage_url is None
    assert (settings.device, settings.slots) == ("auto", None)


def test_every_setting_is_read_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "HOME": "/h", "STORAGE": "postgresql://x/y", "ARTIFACTS": "/a", "DATA": "/d", "DEVICE": "cuda:1", "SLOTS": "3",
        "THREADS": "2",
    }  # fmt: skip
    for name, value in values.items():
        monkeypatch.setenv(f"NAS_{name}", value)
    settings = read_settings()
    assert (settings.home, settings.artifacts_folder, settings.data_folder) == (Path("/h"), Path("/a"), Path("/d"))
    assert (settings.storage_url, settings.device) == ("postgresql://x/y", "cuda:1")
    assert (settings.slots, settings.threads) == (3, 2)


def test_folders_follow_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_HOME", "/h")
    assert read_settings().data_folder == Path("/h/data")
    assert read_settings().artifacts_folder == Path("/h/artifacts")


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_STORAGE", "")
    monkeypatch.setenv("NAS_SLOTS", "")
    assert read_settings() == Settings()


def test_the_storage_file_is_read_without_its_newline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("postgresql://u:p@h/d\n")
    monkeypatch.setenv("NAS_STORAGE_FILE", str(tmp_path / "secret"))
    assert read_settings().storage_url == "postgresql://u:p@h/d"


def test_two_places_for_one_url_are_refused_without_printing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_STORAGE", "postgresql://u:hidden@h/d")
    monkeypatch.setenv("NAS_STORAGE_FILE", "secret")
    with pytest.raises(SettingsError, match="both set") as caught:
        _ = read_settings().storage_url
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_an_unreadable_storage_file_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    monkeypatch.setenv("NAS_STORAGE_FILE", str(tmp_path / "secret"))
    with pytest.raises(SettingsError, match=r"NAS_STORAGE_FILE: .*secret"):
        _ = read_settings().storage_url


def test_all_bad_values_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_SLOTS", "0")
    monkeypatch.setenv("NAS_DEVICE", "tpu")
    with pytest.raises(SettingsError, match=r"NAS_DEVICE: .*NAS_SLOTS: ") as caught:
        read_settings()
    assert "\n" not in str(caught.value)
