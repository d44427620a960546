"""Errors of trainings: the machine's, lack of memory, and those whose cause is open."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors import SafetensorError

from nas.results.outcome import Failed
from nas.study.data_spec import DataSpec
from nas.worker.machine_messages import ControlPassed, MachineFault, TrainControl
from nas.worker.trainer.failure_causes import failure_of
from nas.worker.trainer.output_files import write_output
from nas.worker.trainer.request_handlers import Trainer
from nas.worker.trainer_messages import OpenData


def raised(error: Exception, cause: Exception | None = None) -> Exception:
    """Return an error as it is caught, with its frame and its cause."""
    try:
        raise error from cause
    except Exception as caught:
        return caught


@pytest.mark.parametrize(
    "number",
    [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EFBIG, errno.EIO, errno.ESTALE, errno.EMFILE],
)
def test_errors_of_the_system_are_the_machines(number: int) -> None:
    error = raised(OSError(number, os.strerror(number), "/data/x"))
    assert failure_of(error) == MachineFault(f"/data/x: {os.strerror(number)}")


def test_an_error_of_the_system_behind_a_library_s_own_is_found() -> None:
    cause = OSError(errno.ENOSPC, "No space left on device", "/tmp/w")
    assert failure_of(raised(RuntimeError("writer failed"), cause)) == MachineFault("/tmp/w: No space left on device")
    assert failure_of(raised(ImportError("libgomp.so.1: cannot open\nmore"))) == MachineFault(
        "a library: libgomp.so.1: cannot open"
    )


@pytest.mark.parametrize(
    "text",
    [
        "Error while serializing: I/O error: No space left on device (os error 28)",
        'Error while serializing: IoError(Os { code: 28, kind: StorageFull, message: "No space left on device" })',
    ],
)
def test_a_full_disk_under_safetensors_is_the_machines(text: str, tmp_path: Path) -> None:
    def write(path: Path) -> None:
        raise SafetensorError(text)

    assert failure_of(SafetensorError(text)) == MachineFault("a file: No space left on device")
    with pytest.raises(OSError, match="No space") as caught:
        write_output(tmp_path / "w", None, write)
    assert failure_of(caught.value) == MachineFault(f"{tmp_path / 'w'}: No space left on device")


def test_failed_allocations_are_out_of_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55)
    for error in (caught.value, raised(MemoryError()), raised(torch.OutOfMemoryError("CUDA out of memory"))):
        failed = failure_of(error)
        assert isinstance(failed, Failed)
        assert failed.reason == "out_of_memory"


def test_the_cause_of_other_errors_is_open() -> None:
    failed = failure_of(raised(ValueError("shapes do not fit")))
    assert isinstance(failed, Failed)
    assert failed.reason == "crashed"
    assert failed.detail.startswith("ValueError: shapes do not fit (test_failure_causes.py:")


class _Pipe:
    """Pipe that swallows reports."""

    def send(self, report: object) -> None:
        pass


def test_the_control_trains_where_it_can_be_written(tmp_path: Path) -> None:
    trainer = Trainer(cast(Any, _Pipe()), "cpu")
    trainer.handle(OpenData(DataSpec(source="digits", max_train_images=100), tmp_path / "data", "float32"))
    before = torch.get_rng_state()
    assert trainer.handle(TrainControl(tmp_path)) == ControlPassed()
    assert torch.equal(torch.get_rng_state(), before)
    assert list(tmp_path.glob("*.safetensors")) == []
    (tmp_path / "file").touch()
    fault = trainer.handle(TrainControl(tmp_path / "file"))
    assert isinstance(fault, MachineFault)
    assert "Not a directory" in fault.text


def test_an_output_goes_to_the_spare_folder_if_its_own_has_no_room(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        path.write_bytes(b"half")
        if path.parent == tmp_path:
            raise OSError(errno.ENOSPC, "No space left on device")

    assert write_output(tmp_path / "w", tmp_path / "spare", write) == tmp_path / "spare" / "w"
    assert not (tmp_path / "w").exists(), "a partial file was left"
    with pytest.raises(OSError, match="No space"):
        write_output(tmp_path / "w", None, write)
