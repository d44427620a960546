"""Available cores with trees of files like those of cgroups of both versions."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nas.commands.composition.available_cores import available_cores


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)), raising=False)


def _cores(folder: Path, files: dict[str, str], membership: str) -> int:
    for name, text in files.items():
        path = folder / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    (folder / "membership").write_text(membership)
    return available_cores(folder / "cgroup", folder / "membership")


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 8), ("400000 100000", 4), ("150000 100000", 1), ("50000 100000", 1), ("1600000 100000", 8),
     ("250000 50000", 5)],
)  # fmt: skip
def test_the_quota_of_a_container_in_version_2(tmp_path: Path, quota: str, cores: int) -> None:
    """A container sees its own cgroup as the root."""
    assert _cores(tmp_path, {"cpu.max": quota}, "0::/\n") == cores


def test_the_smallest_quota_of_a_cgroup_and_its_parents_in_version_2(tmp_path: Path) -> None:
    files = {
        "user.slice/cpu.max": "300000 100000", "user.slice/session/cpu.max": "max 100000",
        "user.slice/session/job/cpu.max": "600000 100000", "other.slice/cpu.max": "100000 100000",
    }  # fmt: skip
    assert _cores(tmp_path, files, "0::/user.slice/session/job\n") == 3


@pytest.mark.parametrize(("quota", "cores"), [("-1", 8), ("200000", 2), ("250000", 2), ("20000", 1), ("9900000", 8)])
def test_the_quota_of_a_container_in_version_1(tmp_path: Path, quota: str, cores: int) -> None:
    files = {"cpu/cpu.cfs_quota_us": quota, "cpu/cpu.cfs_period_us": "100000"}
    membership = "5:memory:/docker/0f\n4:cpu,cpuacct:/docker/0f\n3:cpuset:/docker/0f\n1:name=systemd:/docker/0f\n"
    assert _cores(tmp_path, files, membership) == cores


def test_the_smallest_quota_of_a_cgroup_and_its_parents_in_version_1(tmp_path: Path) -> None:
    files = {
        "cpu/slurm/cpu.cfs_quota_us": "300000", "cpu/slurm/cpu.cfs_period_us": "100000",
        "cpu/slurm/job/cpu.cfs_quota_us": "600000", "cpu/slurm/job/cpu.cfs_period_us": "100000",
        "memory/slurm/job/cpu.cfs_quota_us": "100000", "memory/slurm/job/cpu.cfs_period_us": "100000",
    }  # fmt: skip
    assert _cores(tmp_path, files, "4:memory:/slurm/job\n3:cpuacct,cpu:/slurm/job\n0::/init.scope\n") == 3


@pytest.mark.parametrize("text", ["", "nonsense", "100000", "a b c"])
def test_a_file_of_another_form_is_no_quota(tmp_path: Path, text: str) -> None:
    assert _cores(tmp_path, {"cpu.max": text}, "0::/\n") == 8


def test_without_cgroups_the_affinity_counts(tmp_path: Path) -> None:
    assert available_cores(tmp_path / "absent", tmp_path / "absent too") == 8


def test_without_an_affinity_all_cores_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    for count, cores in ((6, 6), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda count=count: count)
        assert available_cores(tmp_path, tmp_path / "absent") == cores


def test_there_is_at_least_one_core_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 1 <= available_cores() <= 8
