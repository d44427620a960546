"""Overhead of the service per trial: claim, ask, report and tell against PostgreSQL, by number of finished trials.

    python benchmarks/storage_load.py
    python benchmarks/storage_load.py --workers 64 --processes 64 --finished 10000

Simulated workers run real supervision (slots, asks, duplicate checks, tells, with the study of EMNIST's 62 classes and
the default search space) around trials that only sleep: first one worker, then all. Finished trials are copies of real
rows, with curves of 20 epochs and scores of 62 classes. Without NAS_STORAGE an embedded server in a temporary folder is
used. The first ask is measured right after a process has joined; the measurement starts when all have joined.
Connections are those of the workers, counted five times a second. Run it on an otherwise idle machine: one worker
measures the cost of a call, and more workers than cores measure the queue.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import shutil
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.synchronize import Barrier
from pathlib import Path

import optuna
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from nas import database
from nas.commands.composition.application import Application
from nas.commands.composition.environment_settings import Settings
from nas.results.dataset_summary import DatasetSummary
from nas.results.learning_curve import EpochRecord
from nas.results.metrics import ClassScores, Scores
from nas.results.network_cost import Cost
from nas.results.outcome import Completed
from nas.search.create_study import create_study
from nas.search.search_study import SearchStudy
from nas.search.storage.database_and_artifact_storage import Storage
from nas.search.storage.slot_leases import Slots
from nas.search.storage.sql_tables import create_missing_tables
from nas.search.storage.windowed_storage import WINDOW_TRIALS
from nas.search.trial_tells import TrialFiles
from nas.study.study_file import load_study

REPOSITORY = Path(__file__).parents[1]
CLASSES = tuple(str(number) for number in range(62))
DATASET_SUMMARY = DatasetSummary("emnist", CLASSES, 1, 28, 28, (100,) * 62, (10,) * 62, 100, (0.2,), (0.3,))
NUM_ORIGINALS = 100
TRIAL_SECONDS = 1.0
LONG_TRIAL_SECONDS = 30.0
STEPS = ("claim", "ask", "report", "duplicate", "tell")
APPLICATION = "nas-load"


@dataclass
class Timings:
    """Measured milliseconds by step."""

    samples: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @contextmanager
    def of(self, step: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.samples[step].append(1e3 * (time.perf_counter() - started))


@dataclass
class LoadResult:
    """Result of one load: milliseconds by step, connection counts, and peak megabytes of the largest process."""

    workers: int
    processes: int
    samples: dict[str, list[float]]
    connections: list[int]
    megabytes: float
    load: float


def main() -> None:
    """Measure and print a table for each number of finished trials."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--processes", type=int, default=8, help="number of processes; the workers are their threads")
    parser.add_argument("--finished", type=int, nargs="+", default=[0, 1_000, 10_000])
    parser.add_argument("--seconds", type=float, default=30.0)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    loads = [(1, 1)] + ([(arguments.workers, min(arguments.processes, arguments.workers))] * (arguments.workers > 1))
    with tempfile.TemporaryDirectory(prefix="nas-load-") as folder:
        url = os.environ.get("NAS_STORAGE") or database.start(Path(folder) / "home")
        for finished in arguments.finished:
            study, storage, engine = make_study(url, Path(folder), finished)
            print_table(
                finished, [run(url, Path(folder), study.name, engine, *load, arguments.seconds) for load in loads]
            )
            storage.close()
            engine.dispose()
        if "NAS_STORAGE" not in os.environ:
            database.stop(Path(folder) / "home")
            if os.geteuid() == 0:  # Run by root, the server keeps its data outside of the home folder.
                shutil.rmtree(database.data_directory(Path(folder) / "home").parent, ignore_errors=True)


def make_study(url: str, folder: Path, finished: int) -> tuple[SearchStudy, Storage, Engine]:
    """Create a study with a number of finished trials."""
    name = f"load-{os.getpid()}-{finished}"
    engine = database.create_engine(url)
    create_missing_tables(engine)
    storage = Storage.connect(url, folder, create_tables=True)
    spec = load_study(REPOSITORY / "studies" / "emnist_byclass.toml", name=name)
    budget = spec.budget.model_copy(update={"trials": finished + 100_000})
    study = create_study(storage, spec.model_copy(update={"budget": budget}), DATASET_SUMMARY)
    slots = Slots(engine, name)
    slots.open_slots(finished + 20_000)
    lease = slots.claim("baseline", 1.0)
    assert lease is not None
    slots.finish(lease, "completed")
    fill(study, slots, engine, finished)
    return study, storage, engine


def run(url: str, folder: Path, name: str, engine: Engine, workers: int, processes: int, seconds: float) -> LoadResult:
    """Run workers on a study and collect their timings."""
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.Queue[tuple[Timings, float]] = context.Queue()
    ready = context.Barrier(processes + 1)
    worker_url = (
        make_url(url).update_query_dict({"application_name": APPLICATION}).render_as_string(hide_password=False)
    )
    shares = [workers // processes + (index < workers % processes) for index in range(processes)]
    started = [
        context.Process(target=work, args=(worker_url, folder, name, share, seconds, ready, queue)) for share in shares
    ]
    for process in started:
        process.start()
    ready.wait(timeout=600)
    connections: list[int] = []
    until = time.monotonic() + seconds
    count = text("SELECT count(*) FROM pg_stat_activity WHERE application_name = :name")
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        while time.monotonic() < until:
            connections.append(int(connection.scalar(count, {"name": APPLICATION}) or 0))
            time.sleep(0.2)
    load = os.getloadavg()[0]
    results = [queue.get() for _ in started]
    for process in started:
        process.join()
    merged: dict[str, list[float]] = defaultdict(list)
    for timings, _ in results:
        for step, samples in timings.samples.items():
            merged[step] += samples
    return LoadResult(workers, processes, merged, connections, max(peak for _, peak in results), load)


def fill(study: SearchStudy, slots: Slots, engine: Engine, finished: int) -> None:
    """Add finished trials: the first ones run one by one, the others are copies of their rows."""
    if finished == 0:
        return
    for number in range(NUM_ORIGINALS):
        lease = slots.claim("fill", 60.0)
        assert lease is not None
        one_trial(study, slots, lease, Timings(), number, sleep=False)
    with engine.begin() as connection:
        study_id = connection.scalar(
            text("SELECT study_id FROM studies WHERE study_name = :name"), {"name": study.name}
        )
        copies = finished // NUM_ORIGINALS - 1
        where = {"study": study_id, "name": study.name, "n": NUM_ORIGINALS, "copies": copies}
        for statement in _COPY.split(";"):
            connection.execute(text(statement), where)
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("ANALYZE"))


# The scores of the copies decrease; equal scores would all lie on the front.
_COPY = """
CREATE TEMP TABLE copied ON COMMIT DROP AS
    SELECT trial_id AS old, number, copy, state, datetime_start, datetime_complete,
    nextval(pg_get_serial_sequence('trials', 'trial_id')) AS new
    FROM trials, generate_series(1, :copies) AS copy WHERE study_id = :study AND state <> 'WAITING'
    ORDER BY copy, number;
INSERT INTO trials (trial_id, number, study_id, state, datetime_start, datetime_complete)
    SELECT new, number + copy * :n, :study, state, datetime_start, datetime_complete FROM copied;
INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json)
    SELECT new, param_name, param_value, distribution_json FROM trial_params JOIN copied ON trial_id = old;
INSERT INTO trial_values (trial_id, objective, value, value_type)
    SELECT new, objective, CASE objective WHEN 0 THEN value * (1 - 0.001 * copy) ELSE value END, value_type
    FROM trial_values JOIN copied ON trial_id = old;
INSERT INTO trial_user_attributes (trial_id, key, value_json)
    SELECT new, key, CASE key WHEN 'genome_key' THEN to_json(md5(new::text))::text ELSE value_json END
    FROM trial_user_attributes JOIN copied ON trial_id = old;
UPDATE nas_slots SET state = 'done', reason = 'completed', trial_id = new, genome_key = md5(new::text) FROM copied
    WHERE study = :name AND slot = number + copy * :n
"""


def work(
    url: str,
    folder: Path,
    name: str,
    threads: int,
    seconds: float,
    ready: Barrier,
    queue: multiprocessing.Queue[tuple[Timings, float]],
) -> None:
    """Run one process of workers, assembled as in `nas worker`."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    timings, all_joined, begin = Timings(), threading.Barrier(threads + 1), threading.Event()
    application = Application(Settings(storage=url, artifacts=folder))
    application.engine.connect().close()  # Created before the threads.

    def one_worker(index: int) -> None:
        with timings.of("join"):
            study = application.open_study(name, window=WINDOW_TRIALS)
            slots = application.slots(study)
        number, is_first = 1000 * index, True
        all_joined.wait()
        begin.wait()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with timings.of("claim"):
                lease = slots.claim(f"{os.getpid()}-{index}", 60.0)
            assert lease is not None
            one_trial(study, slots, lease, timings, number, is_first=is_first)
            number, is_first = number + 1, False

    supervisors = [threading.Thread(target=one_worker, args=(index,)) for index in range(threads)]
    for thread in supervisors:
        thread.start()
    all_joined.wait()
    ready.wait(timeout=600)
    begin.set()
    for thread in supervisors:
        thread.join()
    application.close()
    queue.put((timings, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def one_trial(
    study: SearchStudy,
    slots: Slots,
    lease: object,
    timings: Timings,
    number: int,
    *,
    sleep: bool = True,
    is_first: bool = False,
) -> None:
    """Run one trial like a supervisor, with a sleep in place of training."""
    with timings.of("first ask" if is_first else "ask"):
        trial = study.ask()
        slots.attach(lease, trial.trial_id, trial.genome.key)
    cost = Cost(20_000 + 1_000 * (hash(trial.genome.key) % 900), 1_000_000)
    with timings.of("report"):
        study.record_genome(trial, cost)
        slots.renew(lease, 60.0)
    with timings.of("duplicate"):
        slots.find_duplicate(trial.genome.key)
    if sleep:
        time.sleep(TRIAL_SECONDS)
    with timings.of("tell"):
        slots.renew(lease, 60.0)
        study.tell.completed(
            trial, completed(0.3 + 0.4 * (hash((trial.genome.key, number)) % 1000) / 1000), cost, FILES
        )
        slots.finish(lease, "completed")


FILES = TrialFiles(Path(__file__))  # The content of the uploaded files is irrelevant here.


def completed(macro_f1: float) -> Completed:
    """Result of the size of a real one."""
    per_class = tuple(ClassScores(name, macro_f1, macro_f1, macro_f1, 60) for name in CLASSES)
    scores = Scores(0.8, macro_f1, macro_f1, macro_f1, 0.8, 0.8, 0.8, per_class, ())
    curve = tuple(
        EpochRecord(epoch, 1 / epoch, 1 / epoch, macro_f1, 0.8, 1234.5, 10.0 * epoch) for epoch in range(1, 21)
    )
    return Completed(scores, curve, 200.0, "cpu, bfloat16", {"kept_epoch": 20.0, "orthogonality_defect": 104.0})


def print_table(finished: int, results: list[LoadResult]) -> None:
    """Print the milliseconds of the steps by load, and their sum as a share of a trial of 30 s."""
    print(f"\n{finished:,} finished trials; milliseconds, median and p95")
    print(f"{'':>12}" + "".join(f"{f'{result.workers} in {result.processes} processes':>34}" for result in results))
    for step in ("join", "first ask", *STEPS):
        print(f"{step:>12}" + "".join(f"{_spread(result.samples[step]):>34}" for result in results))
    overheads = [
        sum(statistics.median(result.samples[step]) for step in STEPS if result.samples[step]) for result in results
    ]
    shares = [
        f"{overhead:.0f}, {overhead / (10 * LONG_TRIAL_SECONDS):.2f} % of {LONG_TRIAL_SECONDS:.0f} s"
        for overhead in overheads
    ]
    print(f"{'in all':>12}" + "".join(f"{share:>34}" for share in shares))
    connections = [
        f"{statistics.median(result.connections):.0f}, at most {max(result.connections)}" for result in results
    ]
    print(f"{'connections':>12}" + "".join(f"{count:>34}" for count in connections))
    print(f"{'MB a process':>12}" + "".join(f"{f'at most {result.megabytes:.0f}':>34}" for result in results))
    print(f"{'load':>12}" + "".join(f"{result.load:>34.1f}" for result in results), flush=True)


def _spread(samples: list[float]) -> str:
    if not samples:
        return "none ended"
    ordered = sorted(samples)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return f"{statistics.median(ordered):.1f}, {p95:.1f} (n = {len(ordered)})"


if __name__ == "__main__":
    main()
