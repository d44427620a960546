"""How long a process takes to read a whole study, and its memory, beside optuna's own storage.

    python benchmarks/reading_trials.py
    python benchmarks/reading_trials.py --finished 10000 --repeats 3

Each reading is a process of its own on the embedded server, so that its peak of memory is its own. Linux, for it reads
the peak from there. Run it with nothing else on the machine.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import optuna
from optuna.storages import RDBStorage
from storage_load import make_study

from nas import database
from nas.search.search_study import SearchStudy
from nas.search.storage.optuna_storage import Storage

Reading = tuple[int, float, float, float]
HOWS = ("optuna's storage", "this storage", "this storage, and parsed")


def main() -> None:
    """Read a study in each way, in turn, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--finished", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="nas-read-") as folder:
        home = Path(folder) / "home"
        url = database.start(home)
        study, storage, engine = make_study(url, Path(folder), arguments.finished)
        context = multiprocessing.get_context("spawn")
        readings: dict[str, list[Reading]] = {how: [] for how in HOWS}
        for _ in range(arguments.repeats):
            for how in HOWS:
                queue: multiprocessing.Queue[Reading] = context.Queue()
                process = context.Process(target=read, args=(url, folder, study.name, how, queue))
                process.start()
                readings[how].append(queue.get())
                process.join()
        storage.close()
        engine.dispose()
        database.stop(home)
        shutil.rmtree(database.data_directory(home).parent, ignore_errors=True)
    for how, all_of in readings.items():
        wall, processor, megabytes = ([reading[index] for reading in all_of] for index in (1, 2, 3))
        spread = f"{statistics.median(wall):.2f} s ({min(wall):.2f} to {max(wall):.2f})"
        peaks = f"{statistics.median(processor):.2f} s of processor, {statistics.median(megabytes):,.0f} MB at most"
        print(f"{how:>25}: {all_of[0][0]:,} trials, {spread}, {peaks}")


def read(url: str, folder: str, name: str, how: str, queue: multiprocessing.Queue[Reading]) -> None:
    """Read all trials once."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rdb = RDBStorage(url) if how == HOWS[0] else Storage.connect(url, Path(folder)).rdb
    study = optuna.load_study(study_name=name, storage=rdb)
    started, processor = time.perf_counter(), time.process_time()
    if how == HOWS[2]:
        count = len(SearchStudy.open(Storage.connect(url, Path(folder)), name).records())
    else:
        count = len(study.get_trials(deepcopy=False))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    queue.put((count, time.perf_counter() - started, time.process_time() - processor, peak))


if __name__ == "__main__":
    main()
