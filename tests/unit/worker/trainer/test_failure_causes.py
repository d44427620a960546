"""Errors of trainings: the machine's, lack of memory, and those whose cause is open."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from nas.results.outcome import Failed
from nas.worker.machine_messages import ControlPassed, MachineFault
from nas.worker.trainer.control_training import train_control
from nas.worker.trainer.failure_causes import failure_of
from nas.worker.trainer.output_files import write_output
from tests.unit.training.examples import CPU, digits_task


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


def test_a_full_disk_under_safetensors_is_the_machines() -> None:
    with pytest.raises((SafetensorError, OSError)) as caught:
        save_file({"tensor": torch.zeros(100_000)}, "/dev/full")
    fault = failure_of(caught.value)
    assert isinstance(fault, MachineFault)
    assert "No space left on device" in fault.text


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


def test_the_control_trains_where_it_can_be_written(tmp_path: Path) -> None:
    from nas.data.sources.standard_datasets import load_digits
    from nas.data.summarize_dataset import summarize_dataset

    task = digits_task(100)
    summary = summarize_dataset(load_digits(), task.normalization)
    before = torch.get_rng_state()
    assert train_control(task, summary, CPU, tmp_path, tmp_path) == ControlPassed()
    assert torch.equal(torch.get_rng_state(), before)
    assert list(tmp_path.glob("*.safetensors")) == []
    (tmp_path / "file").touch()
    fault = train_control(task, summary, CPU, tmp_path, tmp_path / "file")
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
