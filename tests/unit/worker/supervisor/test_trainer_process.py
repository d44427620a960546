from __future__ import annotations

from types import SimpleNamespace

import pytest

from nas.worker.supervisor import trainer_process
from nas.worker.supervisor.trainer_process import TrainerProcess
from tests.clock import Clock


def test_the_memory_is_looked_at_four_times_a_second_and_the_largest_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, sizes = Clock(), list[int]()

    def resident_bytes(pid: int) -> int:
        sizes.append(9 if len(sizes) == 2 else 1)
        return sizes[-1]

    process = SimpleNamespace(pid=1, kill=lambda: None, join=lambda seconds: None)
    started = process, SimpleNamespace(poll=lambda seconds: True, close=lambda: None)
    monkeypatch.setattr(trainer_process, "time", clock)
    monkeypatch.setattr(trainer_process, "start_trainer", lambda *others: started)
    monkeypatch.setattr(trainer_process, "resident_bytes", resident_bytes)
    monkeypatch.setattr(trainer_process, "out_of_memory_kills", lambda: None)
    monkeypatch.setattr(trainer_process, "memory_limit_bytes", lambda: 10)
    trainer = TrainerProcess("cpu", 1, None)
    for _ in range(100):
        assert trainer.poll(0.0)
        clock.now += 1 / 64
    assert sizes == [1, 1, 9, 1, 1, 1, 1]
    assert trainer._out_of_memory_bytes(-9) == 9
    trainer.close()
