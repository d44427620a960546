"""Time and memory for reading a complete study, compared with Optuna's own storage.

    python benchmarks/reading_trials.py
    python benchmarks/reading_trials.py --finished 10000 --repeats 3

Each measurement runs in a process of its own against the embedded server, so that the peak memory is separate. Linux
only, because the peak comes from `ru_maxrss` in kB. Run it on an otherwise idle machine.
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
from nas.search.storage.database_and_artifact_storage import Storage

Measurement = tuple[int, float, float, float]
VARIANTS = ("optuna's storage", "this storage", "this storage, and parsed")


def main() -> None:
    """Measure all variants alternately and print one line per variant."""
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
        results: dict[str, list[Measurement]] = {variant: [] for variant in VARIANTS}
        for _ in range(arguments.repeats):
            for variant in VARIANTS:
                queue: multiprocessing.Queue[Measurement] = context.Queue()
                process = context.Process(target=read, args=(url, folder, study.name, variant, queue))
                process.start()
                results[variant].append(queue.get())
                process.join()
        storage.close()
        engine.dispose()
        database.stop(home)
        shutil.rmtree(database.data_directory(home).parent, ignore_errors=True)
    for variant, measurements in results.items():
        wall_seconds, cpu_seconds, megabytes = ([one[index] for one in measurements] for index in (1, 2, 3))
        spread = f"{statistics.median(wall_seconds):.2f} s ({min(wall_seconds):.2f} to {max(wall_seconds):.2f})"
        peaks = f"{statistics.median(cpu_seconds):.2f} s of CPU time, {statistics.median(megabytes):,.0f} MB at most"
        print(f"{variant:>25}: {measurements[0][0]:,} trials, {spread}, {peaks}")


def read(url: str, folder: str, name: str, variant: str, queue: multiprocessing.Queue[Measurement]) -> None:
    """Read all trials once and put count, wall seconds, CPU seconds and peak megabytes into the queue."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rdb = RDBStorage(url) if variant == VARIANTS[0] else Storage.connect(url, Path(folder)).rdb
    study = optuna.load_study(study_name=name, storage=rdb)
    started, cpu_started = time.perf_counter(), time.process_time()
    if variant == VARIANTS[2]:
        count = len(SearchStudy.open(Storage.connect(url, Path(folder)), name).records())
    else:
        count = len(study.get_trials(deepcopy=False))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    queue.put((count, time.perf_counter() - started, time.process_time() - cpu_started, peak))


if __name__ == "__main__":
    main()
