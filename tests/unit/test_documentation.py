"""The README keeps up with the command line."""

from __future__ import annotations

import re
from pathlib import Path

import typer.main

from nas.commands.composition.environment_settings import Settings
from nas.commands.main import app

README = Path(__file__).parents[2] / "README.md"


def test_every_command_is_in_the_table() -> None:
    commands = {name for name in typer.main.get_command(app).commands if name != "database"}
    documented = set(re.findall(r"`nas (\w+)", README.read_text()))
    assert commands <= documented
    assert documented - {"database"} <= commands


def test_every_setting_is_in_the_table() -> None:
    rows = (line for line in README.read_text().splitlines() if line.startswith("| `NAS_"))
    documented = {name for row in rows for name in re.findall(r"`(NAS_\w+)`", row.split("|")[1])}
    assert {f"NAS_{name.upper()}" for name in Settings.model_fields} == documented


def test_nothing_is_left_to_be_filled_in() -> None:
    assert "@@" not in README.read_text()
