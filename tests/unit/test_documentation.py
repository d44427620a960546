"""README, command reference and architecture page agree with the program."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest
import typer.main

from nas.commands.composition.environment_settings import Settings
from nas.commands.main import app

ROOT = Path(__file__).parents[2]
README, CLI = ROOT / "README.md", ROOT / "docs" / "cli.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md")), ROOT / "CONTRIBUTING.md"]


def test_every_command_is_in_the_table() -> None:
    commands = set(typer.main.get_command(app).commands)
    table = CLI.read_text().split("## Exit codes")[0]
    assert set(re.findall(r"`(?:nas )?(\w+) ?(?:NAME|FILE|MODEL|start)?[^`]*`", table)) >= commands
    assert set(re.findall(r"`nas (\w+)", table)) == commands


def test_commands_of_the_readme_exist() -> None:
    commands = set(typer.main.get_command(app).commands)
    assert set(re.findall(r"(?:`|^|\$ )nas (\w+)", README.read_text(), re.M)) <= commands


def test_the_command_reference_is_current() -> None:
    spec = importlib.util.spec_from_file_location("generate_cli", ROOT / "docs" / "generate_cli.py")
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    page = CLI.read_text(encoding="utf-8")
    assert page == generator.renewed(page), "run `make docs`"


def test_every_setting_is_in_the_table() -> None:
    rows = (line for line in CLI.read_text().splitlines() if line.startswith("| `NAS_"))
    documented = {name for row in rows for name in re.findall(r"`(NAS_\w+)`", row.split("|")[1])}
    assert {f"NAS_{name.upper()}" for name in Settings.model_fields} == documented


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 200


def test_nothing_is_left_to_be_filled_in() -> None:
    assert not [page.name for page in PAGES if "@@" in page.read_text()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_source_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)#][^)]*)\)", text) if "://" not in link]
    assert not [link for link in links if not (page.parent / link).exists()]
    named = re.findall(r"`((?:[a-z_]+/)+[a-z_0-9]+\.(?:py|toml|md))`", text)
    assert not [name for name in named if not any((base / name).exists() for base in (ROOT, ROOT / "nas"))]


def test_every_package_is_on_the_map() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    entries = {path.name for path in (ROOT / "nas").iterdir() if (path / "__init__.py").exists()}
    assert {name.removesuffix("/") for name in re.findall(r"^\| `([a-z_]+/)` \|", text, re.M)} == entries
