"""Checkpoint files: atomic writes, and refusal of damaged files."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nas.training.checkpoints.checkpoint_file import (
    CheckpointError,
    CheckpointFolder,
    read_checkpoint,
    write_checkpoint,
)
from nas.training.checkpoints.training_state import TrainingState

NUMBERS = [0.1, 1e-300, float("inf"), -7]


def _state(seed: int = 0) -> TrainingState:
    tensor = torch.randn(40, 5, generator=torch.Generator().manual_seed(seed))
    return TrainingState({"a.b": tensor, "c": torch.arange(3, dtype=torch.uint8)}, {"numbers": NUMBERS, "seed": seed})


def _same(one: TrainingState, other: TrainingState) -> bool:
    return one.values == other.values and all(
        torch.equal(tensor, other.tensors[name]) for name, tensor in one.tensors.items()
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "one", _state())
    read = read_checkpoint(tmp_path / "one")
    assert _same(read, _state())
    assert read.tensors.keys() == _state().tensors.keys()
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


def test_a_part_is_what_was_added() -> None:
    state = TrainingState()
    state.add_part("x", _state(1))
    state.add_part("xx", _state(2))
    assert _same(state.part("x"), _state(1))
    assert state.part("x").tensors.keys() == _state().tensors.keys()


@pytest.mark.parametrize("place", [3, 20, 60, 300, -1])
def test_a_flipped_bit_is_refused(tmp_path: Path, place: int) -> None:
    write_checkpoint(tmp_path / "one", _state())
    content = bytearray((tmp_path / "one").read_bytes())
    content[place] ^= 1
    (tmp_path / "one").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"one: (damaged|not a checkpoint)"):
        read_checkpoint(tmp_path / "one")


class _Harmful:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (os.system, ("touch executed",))


def test_a_pickle_is_refused_and_not_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, content in (("plain", pickle.dumps(_Harmful())), ("zip", None)):
        if content is None:
            torch.save(_Harmful(), tmp_path / name)
        else:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match="not a checkpoint of nas"):
            read_checkpoint(tmp_path / name)
    assert not (tmp_path / "executed").exists()


def test_the_last_two_are_kept_and_a_damaged_one_gives_way_to_the_one_before(tmp_path: Path) -> None:
    folder = CheckpointFolder(tmp_path / "trial", "1", "g")
    assert folder.latest() == (None, [])
    for step in (5, 90, 1200):
        folder.save(_state(step), step)
    assert sorted(path.name for path in (tmp_path / "trial").iterdir()) == ["000000090-1", "000001200-1"]
    newest = tmp_path / "trial" / "000001200-1"
    loaded, refused = folder.latest()
    assert loaded is not None
    assert (loaded.values["seed"], refused) == (1200, [])
    newest.write_bytes(newest.read_bytes()[:-1])
    loaded, refused = CheckpointFolder(tmp_path / "trial", "2", "g").latest()
    assert loaded is not None
    assert loaded.values["seed"] == 90
    assert refused == [f"{newest}: damaged (its SHA-256 is another)"]


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    """This happens after a study was deleted and another one with its name was created."""
    CheckpointFolder(tmp_path, "1", "one genome").save(_state(), 7)
    assert CheckpointFolder(tmp_path, "2", "another").latest() == (
        None, [f"{tmp_path / '000000007-1'}: of another training"],
    )  # fmt: skip


def test_refused_checkpoints_that_are_further_on_do_not_outlast_the_new_ones(tmp_path: Path) -> None:
    other = CheckpointFolder(tmp_path, "1", "another")
    for step in (50, 900):
        other.save(_state(), step)
    folder = CheckpointFolder(tmp_path, "1", "g")
    assert folder.latest()[0] is None
    for step in (50, 60):
        folder.save(_state(step), step)
        loaded, refused = CheckpointFolder(tmp_path, "2", "g").latest()
        assert loaded is not None
        assert (loaded.values["seed"], refused) == (step, [])


def test_two_writers_never_share_a_file(tmp_path: Path) -> None:
    late, current = CheckpointFolder(tmp_path, "1", "g"), CheckpointFolder(tmp_path, "2", "g")
    current.save(_state(1), 50)
    late.save(_state(2), 50)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["000000050-1", "000000050-2"]


_KILLS = """
import os, random, signal, sys, time
from pathlib import Path
import torch
from nas.training.checkpoints.checkpoint_file import CheckpointFolder
from nas.training.checkpoints.training_state import TrainingState

torch.set_num_threads(1)
folder, interrupted, step, kills = Path(sys.argv[1]), int(sys.argv[2]), 0, 0
random.seed(0)
while sum(path.name.startswith(".") for path in folder.glob("*")) < interrupted:
    writer = os.fork()
    if writer == 0:
        while True:
            step += 1
            state = TrainingState({"t": torch.full((500_000,), float(step))}, {"step": step})
            CheckpointFolder(folder, "w", "g").save(state, step)
    time.sleep(random.uniform(0.005, 0.1))
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    kills += 1
    loaded, refused = CheckpointFolder(folder, "r", "g").latest()
    assert not refused, refused
    if loaded is not None:
        assert loaded.values["step"] >= step
        step = loaded.values["step"]
        assert bool((loaded.tensors["t"] == step).all())
print(kills, step)
"""


@pytest.mark.parametrize("interrupted_writes", [10, pytest.param(100, marks=pytest.mark.faults)])
def test_killed_while_it_writes_the_newest_is_always_readable(tmp_path: Path, interrupted_writes: int) -> None:
    """Kill the writer at random times until `interrupted_writes` kills have left a partial file."""
    process = subprocess.run(
        [sys.executable, "-c", _KILLS, str(tmp_path / "trial"), str(interrupted_writes)], capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    kills, written = map(int, process.stdout.split())
    print(f"{kills} kills, {interrupted_writes} of them in a write; {written} checkpoints written; newest readable")
    assert written > 0
