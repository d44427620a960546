from __future__ import annotations

from pathlib import Path

from nas.worker.supervisor.checkpoint_folders import TrialCheckpoints


def test_each_trial_has_a_folder_until_it_has_ended(tmp_path: Path) -> None:
    mine, others = TrialCheckpoints(tmp_path, "s"), TrialCheckpoints(tmp_path, "t")
    mine.remove_ended({1})
    for number in (1, 2, 30):
        mine.folder_of(number).mkdir(parents=True)
        (mine.folder_of(number) / "file").touch()
    others.folder_of(1).mkdir(parents=True)
    mine.remove(2)
    mine.remove(2)
    assert [mine.folder_of(number).exists() for number in (1, 2, 30)] == [True, False, True]
    mine.remove_ended({1, 4})
    assert [mine.folder_of(number).exists() for number in (1, 30)] == [False, True]
    assert others.folder_of(1).exists()
