"""Faulty input: a clear error message, the documented exit code, no traceback and no lost data."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sqlalchemy import event
from sqlalchemy.pool import Pool

from nas.commands import main as cli
from nas.commands.composition.available_cores import available_cores
from tests.e2e.conftest import SPACE, STUDY, Terminal

Command = Callable[..., str]


@pytest.fixture
def closed_connections() -> Iterator[None]:
    """Close the database connections that a command leaves to the end of its process."""
    connections: list[Any] = []

    def record_connection(connection: Any, record: Any) -> None:
        connections.append(connection)

    event.listen(Pool, "connect", record_connection)
    yield
    event.remove(Pool, "connect", record_connection)
    for connection in connections:
        connection.close()


@pytest.fixture
def fails(
    terminal: Terminal, closed_connections: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Run a failing command in this process, which is faster; return its standard error."""
    monkeypatch.chdir(terminal.folder)
    for name in ("NAS_STORAGE", "NAS_STORAGE_FILE", "NAS_ARTIFACTS", "NAS_DATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in (("NAS_HOME", str(terminal.folder / "home")), ("NAS_DEVICE", "cpu"), ("NAS_SLOTS", "1")):
        monkeypatch.setenv(name, value)

    def run(*arguments: str, code: int = 1) -> str:
        monkeypatch.setattr("sys.argv", ["nas", *arguments])
        with pytest.raises(SystemExit) as exit_info:
            cli.main()
        captured = capsys.readouterr()
        assert exit_info.value.code == code, captured
        assert "Traceback" not in captured.err
        assert captured.err.startswith("error: ") or code == 2
        assert captured.out == ""
        return captured.err

    return run


@pytest.mark.parametrize(
    ("old", "new", "fragments"),
    [
        ("epochs = 1", "epochs = 1\nepoch = 2", ["budget.epoch: unknown key"]),
        ("epochs = 1", "epochs = 1\nminutes = 2", ["budget.minutes: not with epochs; give one of"]),
        ("epochs = 1", 'epochs = "one"', ["budget.epochs", "'one'"]),
        ("trials = 5", "trials = 0", ["budget.trials", "0"]),
        ("epochs = 1", "epochs = 1\n[stop]\nat_params = 0", ["stop.at_params", "0"]),
        ('source = "digits"', 'source = "imagenet"', ["data.source", "'imagenet'"]),
        ('name = "tiny"', 'name = "ti ny"', ["name", "'ti ny'"]),
        ("space.toml", "absent.toml", ["search_space", "absent.toml", "cannot be read"]),
        (
            "trials = 5\nepochs = 1",
            "trials = -1\nepochs = 0\nepoch = 3",
            ["3 faults", "trials", "epochs", "epoch: unk"],
        ),
        ("[data]", "[data", ["not valid TOML"]),
    ],
)
def test_a_faulty_study_file(terminal: Terminal, fails: Command, old: str, new: str, fragments: list[str]) -> None:
    assert old in STUDY
    message = fails("check", terminal.write("bad.toml", STUDY.replace(old, new)))
    assert "bad.toml" in message
    for part in fragments:
        assert part in message


@pytest.mark.parametrize(
    ("old", "new", "fragments"),
    [
        ('"densenet"', '"capsnet"', ["architecture.family", "'capsnet'"]),
        ("stem_width = 8", 'stem_width = "wide"', ["architecture.stem_width", "'wide'"]),
        ("low = 8, high = 16", "low = 32, high = 16", ["architecture.width", "low 32 is above high 16"]),
        ("depth = 1", "depht = 1", ["architecture.depht: unknown gene"]),
        (
            "batch_size = 32",
            'imbalance = "smote"\naugmentation = "mixup"',
            ["recipe.augmentation", "'smote'", "'mixup", "of no class"],
        ),
        ("batch_size = 32", 'loss = "all_class"\n[recipe.all_class]\nlabel_smoothing = 0.1', ["no effect", "above 0"]),
        (
            "stem_width = 8\ndepth = 1",
            'stem_width = "wide"\ndepht = 1\nkernel_size = 4',
            ["3 faults", "stem_width", "depht", "kernel_size"],
        ),
    ],
)
def test_a_faulty_search_space(terminal: Terminal, fails: Command, old: str, new: str, fragments: list[str]) -> None:
    assert old in SPACE
    terminal.write("bad-space.toml", SPACE.replace(old, new))
    message = fails("search", terminal.write("bad.toml", STUDY.replace("space.toml", "bad-space.toml")))
    for part in ("bad-space.toml", *fragments):
        assert part in message


def test_a_budget_that_no_genome_meets(terminal: Terminal, searched: dict[str, Any], fails: Command) -> None:
    name = terminal.write(
        "bad.toml", STUDY.replace("epochs = 1", "epochs = 1\nmax_params = 10").replace("tiny", "none")
    )
    assert "no genome meets budget.max_params = 10; the smallest network" in fails("search", name)
    ending = terminal.write("ending.toml", STUDY.replace('"tiny"', '"none"') + "[stop]\nat_params = 10\n")
    assert "no genome meets stop.at_params = 10; the smallest network" in fails("search", ending)
    assert "no study 'none'" in fails("status", "none")


def test_minutes_of_less_than_an_epoch(terminal: Terminal, fails: Command) -> None:
    study = STUDY.replace("epochs = 1", "minutes = 0.00001").replace("tiny", "short")
    file = terminal.write("bad.toml", study)
    for message in (terminal.run("check", file, code=1).stderr, fails("create", file)):
        assert message.startswith("error: study 'short': budget.minutes = 1e-05: too few for one epoch: that of a ")
        assert "give at least as many, lower budget.max_params, or set data.max_train_images" in message
    assert "no study 'short'" in fails("status", "short")


@pytest.mark.parametrize("command", ["check", "search"])
def test_a_teacher_that_is_not_there(
    terminal: Terminal, searched: dict[str, Any], fails: Command, command: str
) -> None:
    terminal.write("taught-space.toml", SPACE + 'distillation = "logits"\n')
    study = STUDY.replace("space.toml", "taught-space.toml").replace('"tiny"', '"none"')
    name = terminal.write("bad.toml", study + '[distillation]\nteacher = { study = "tiny", trial = 99 }\n')
    assert "error: distillation.teacher: study 'tiny' has no trial 99; it has " in fails(command, name)
    assert "no study 'none'" in fails("status", "none")


def _folder(root: Path, classes: dict[str, int]) -> Path:
    for label, count in classes.items():
        (root / label).mkdir(parents=True)
        for index in range(count):
            pixels = np.random.default_rng(index).integers(0, 255, (8, 8), np.uint8)
            Image.fromarray(pixels).save(root / label / f"{index}.png")
    return root


@pytest.mark.parametrize(
    ("classes", "message"),
    [({"cat": 5}, "one class only (cat)"), ({"cat": 5, "dog": 0}, "classes without an image: dog")],
)
def test_a_folder_with_faults(fails: Command, tmp_path: Path, classes: dict[str, int], message: str) -> None:
    assert message in fails("search", "study.toml", "--name", "folder", "--data", str(_folder(tmp_path / "d", classes)))


def test_a_corrupt_image_is_named(fails: Command, tmp_path: Path) -> None:
    root = _folder(tmp_path / "d", {"cat": 5, "dog": 5})
    (root / "dog" / "3.png").write_bytes(b"no picture")
    assert "left out: 1 no image (text): dog/3.png" in fails("check", "study.toml", "--data", str(root), "--strict")
    (root / "cat" / "1.png").write_bytes(b"no picture")
    for number in (0, 2, 3):
        (root / "cat" / f"{number}.png").unlink()
    message = fails("search", "study.toml", "--name", "folder", "--data", str(root))
    assert "too few training images to split into train, validation and test: 'cat' (2)" in message


IMAGES = np.zeros((20, 8, 8), np.uint8)
LABELS = np.arange(20) % 2


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_train": IMAGES}, "no array y_train"),
        (
            {"x_train": IMAGES, "y_train": LABELS + 5, "classes": np.array(["a", "b"])},
            "labels 5, 6 are not among the 2 classes",
        ),
        ({"x_train": IMAGES, "y_train": LABELS - 1}, "labels are below 0 (-1; the first at index "),
        ({"x_train": np.array([IMAGES[0], IMAGES[0, :4]], dtype=object), "y_train": LABELS}, "an array of objects"),
        (
            {"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES[:, :4], "y_test": LABELS},
            "x_test: images [C, H, W] of [1, 4, 8] where x_train has [1, 8, 8]",
        ),
    ],
)
def test_an_npz_file_with_faults(fails: Command, tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "d.npz", **arrays)
    assert message in fails("check", "study.toml", "--data", str(tmp_path / "d.npz"))


def test_unknown_names(searched: dict[str, Any], fails: Command) -> None:
    for command in (("front", "nope"), ("status", "nope"), ("show", "nope", "0"), ("worker", "nope")):
        message = fails(*command)
        assert "no study 'nope'; studies here: " in message
        assert "tiny" in message
    assert "has no trial 99" in fails("show", "tiny", "99")
    assert "has no trial 99" in fails("export", "tiny", "--trial", "99", "-o", "m.pt")


def test_export_has_somewhere_to_write_and_something_to_write(
    terminal: Terminal, searched: dict[str, Any], fails: Command
) -> None:
    assert "the folder nowhere does not exist" in fails("export", "tiny", "-o", "nowhere/m.pt")
    assert "the suffix names no format" in fails("export", "tiny", "-o", "m.pth")
    (terminal.folder / "a-folder.pt").mkdir(exist_ok=True)
    assert "a-folder.pt: cannot be written" in fails("export", "tiny", "--trial", "best", "-o", "a-folder.pt")
    terminal.run("create", "study.toml", "--name", "untouched")
    assert "the front of 'untouched' is empty" in fails("export", "untouched", "-o", "m.pt")
    assert not (terminal.folder / "m.pt").exists()
    assert not list(terminal.folder.glob(".nas-export-*"))


class _Foreign(torch.nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images


def test_predict_takes_exported_models_and_images_alone(
    terminal: Terminal, searched: dict[str, Any], fails: Command, tmp_path: Path
) -> None:
    Image.fromarray(IMAGES[0]).save(tmp_path / "ok.png")
    (tmp_path / "random.pt").write_bytes(np.random.default_rng(0).bytes(4096))
    (tmp_path / "pickle.pt").write_bytes(pickle.dumps({"weights": [1, 2, 3]}))
    (tmp_path / "empty.pt").write_bytes(b"")
    torch.jit.save(torch.jit.script(_Foreign()), str(tmp_path / "foreign.pt"))
    (tmp_path / "pretended.onnx").write_bytes(b"no graph")
    for name in ("random.pt", "pickle.pt", "foreign.pt", "empty.pt", "pretended.onnx"):
        message = fails("predict", str(tmp_path / name), str(tmp_path / "ok.png"))
        assert f"{name}: not a model that `nas export` wrote" in message
    assert "absent.pt: no such file" in fails("predict", str(tmp_path / "absent.pt"), str(tmp_path / "ok.png"))
    terminal.run("export", "tiny", "--trial", "best", "-o", "good.pt")
    (tmp_path / "no.png").write_text("no picture")
    message = fails("predict", "good.pt", str(tmp_path / "no.png"), str(tmp_path / "absent.png"))
    assert message.splitlines() == [
        f"error: {tmp_path}/no.png: no image (text)", f"error: {tmp_path}/absent.png: no such file"
    ]  # fmt: skip
    (tmp_path / "empty").mkdir()
    assert "no image in this folder or below" in fails("predict", "good.pt", str(tmp_path / "empty"))


def test_an_unreachable_database_never_shows_its_password(fails: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_STORAGE", "postgresql://user:secret@127.0.0.1:1/db")
    for command in (("studies",), ("front", "tiny"), ("database", "url")):
        message = fails(*command)
        assert "127.0.0.1:1/db" in message
        assert "secret" not in message


def test_an_unreachable_database_with_debug_never_shows_its_password(terminal: Terminal) -> None:
    unreachable = Terminal(terminal.folder, {"NAS_STORAGE": "postgresql://user:secret@127.0.0.1:1/db"})
    with unreachable.start("--debug", "studies") as process:
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "DatabaseError" in errors
    assert "secret" not in output + errors


def test_sqlite_is_refused(fails: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_STORAGE", "sqlite:///studies.db")
    assert "is not PostgreSQL" in fails("studies")


def test_another_specification_under_the_same_name_loses_nothing(
    terminal: Terminal, searched: dict[str, Any], fails: Command
) -> None:
    message = fails("search", terminal.write("bad.toml", STUDY.replace("epochs = 1", "epochs = 2")))
    assert "study 'tiny' exists with another specification" in message
    assert "budget.epochs: 1 there, 2 here" in message
    assert terminal.json("front", "tiny") == searched


def test_start_genomes_outside_the_space(terminal: Terminal, searched: dict[str, Any], fails: Command) -> None:
    start = '[[start]]\narchitecture = { family = "vgg", widths = [8, 14] }\n'
    expected = "start[0].architecture.widths[1]: 14, but the search space has 8 to 16 in steps of 4"
    terminal.write("starts.toml", start)
    for command in ("check", "search", "create"):
        assert fails(command, terminal.write("bad.toml", STUDY + start)) == f"error: bad.toml: {expected}\n"
    assert fails("search", "study.toml", "--start", "starts.toml") == f"error: starts.toml: {expected}\n"
    terminal.write("baseline.json", terminal.run("show", "tiny", str(searched["baseline"]["number"]), "--json").stdout)
    message = fails("create", "study.toml", "--start", "baseline.json")
    assert message.startswith(
        "error: baseline.json: 3 faults\n  architecture.family: input should be 'vgg', 'resnet', "
    )
    new = ("--name", "unborn", "--start-from")
    assert "start_from: no study 'nope'; studies here: " in fails("create", "study.toml", *new, "nope")
    assert "--start-from unborn: the study itself" in fails("create", "study.toml", *new, "unborn")
    assert "no study 'unborn'" in fails("status", "unborn")
    message = fails("search", "study.toml", "--no-start")
    assert "study 'tiny' exists with another specification" in message
    assert "sampler.initial_design: True there, False here" in message


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",), ("search",), ("show", "tiny", "one"), ("search", "study.toml", "--trials", "0"),
        ("search", "study.toml", "--no-such-option"), ("export", "tiny"),
        ("export", "tiny", "-o", "a.pt", "-o", "a.pt"), ("export", "tiny", "-o", "a.pt", "-o", "b", "--format", "all"),
        ("search", "study.toml", "--no-start", "--start", "best.json"),
        ("create", "study.toml", "--no-start", "--start-from", "tiny"),
        ("predict", "a.pt", "a.png", "--json", "--csv"), ("check", "study.toml", "--image-size", "4"),
    ],
)  # fmt: skip
def test_wrong_usage(fails: Command, arguments: tuple[str, ...]) -> None:
    assert fails(*arguments, code=2)


@pytest.mark.parametrize("command", ["check", "search", "create"])
def test_more_threads_than_cores_are_refused_in_one_line(
    terminal: Terminal, fails: Command, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("NAS_THREADS", "4096")
    cores = available_cores()
    name = terminal.write("threads.toml", STUDY.replace('"tiny"', '"threads"'))
    expected = f"error: NAS_THREADS: 4096 threads, but {cores} cores are available; set it to {cores} or less\n"
    assert fails(command, name) == expected


def test_a_worker_with_more_threads_than_cores_ends_with_one_line(terminal: Terminal) -> None:
    terminal.run("create", terminal.write("threads.toml", STUDY.replace('"tiny"', '"worker-threads"')))
    too_many = Terminal(terminal.folder, {"NAS_THREADS": "4096"})
    errors = too_many.run("worker", "worker-threads", code=1).stderr
    assert [line for line in errors.splitlines() if "NAS_THREADS" in line] == errors.splitlines()
    assert "error: NAS_THREADS: 4096 threads" in errors
    assert terminal.json("status", "worker-threads")["done"] == 0


def test_a_setting_that_cannot_be_used_is_named(fails: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAS_SLOTS", "many")
    assert "NAS_SLOTS" in fails("studies")
