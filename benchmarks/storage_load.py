"""What the service itself costs a trial: claim, ask, report and tell against PostgreSQL, by finished trials.

    python benchmarks/storage_load.py
    python benchmarks/storage_load.py --workers 1 --finished 10000

Simulated workers run real supervision (slots, asks, twins, tells, with the study of EMNIST's 62 classes and the default
search space) around trials that only sleep. Finished trials are made by copying real rows, with curves of 20 epochs and
scores of 62 classes. Without NAS_STORAGE it runs on an embedded server in a folder of its own. The first ask is that of
a process that has just joined. Run it with nothing else on the machine; workers beyond its cores measure the queue.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import optuna
from sqlalchemy import Engine, text

from nas import database
from nas.facts import DataFacts
from nas.outcome import ClassScores, Completed, Cost, EpochRecord, Scores
from nas.search.slots import Slots, create_table
from nas.search.storage import Storage
from nas.search.study import SearchStudy
from nas.search.window import WINDOW_TRIALS
from nas.study_spec import StudySpec

REPOSITORY = Path(__file__).parents[1]
CLASSES = tuple(str(number) for number in range(62))
FACTS = DataFacts("emnist", CLASSES, 1, 28, 28, (100,) * 62, (10,) * 62, 100, (0.2,), (0.3,))
NUM_ORIGINALS = 100
TRIAL_SECONDS = 1.0
LONG_TRIAL_SECONDS = 30.0
STEPS = ("claim", "ask", "report", "tell")


@dataclass
class Timings:
    """Milliseconds by step."""

    samples: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @contextmanager
    def of(self, step: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.samples[step].append(1e3 * (time.perf_counter() - started))


def main() -> None:
    """Measure and print a table for each number of finished trials."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--processes", type=int, default=4, help="over which the workers are spread, as threads")
    parser.add_argument("--finished", type=int, nargs="+", default=[0, 1_000, 10_000])
    parser.add_argument("--seconds", type=float, default=30.0)
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="nas-load-") as folder:
        url = os.environ.get("NAS_STORAGE") or database.start(Path(folder) / "home")
        for finished in arguments.finished:
            run(url, Path(folder), finished, arguments.workers, arguments.processes, arguments.seconds)
        if "NAS_STORAGE" not in os.environ:
            database.stop(Path(folder) / "home")


def run(url: str, folder: Path, finished: int, workers: int, processes: int, seconds: float) -> None:
    """Fill a study and put the workers on it."""
    name = f"load-{os.getpid()}-{finished}-{workers}"
    engine = database.create_engine(url)
    create_table(engine)
    storage = Storage.connect(url, folder, create_tables=True)
    spec = StudySpec.load(REPOSITORY / "studies" / "emnist_byclass.toml", name=name)
    budget = spec.budget.model_copy(update={"trials": finished + 100_000})
    study = SearchStudy.create(storage, spec.model_copy(update={"budget": budget}), FACTS)
    slots = Slots(engine, name)
    slots.open_slots(finished + 20_000)
    lease = slots.claim("baseline", 1.0)
    assert lease is not None
    slots.finish(lease, "completed")
    fill(study, slots, engine, finished)
    processes = min(processes, workers)
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.Queue[tuple[Timings, float]] = context.Queue()
    started = [
        context.Process(target=work, args=(url, folder, name, workers // processes, seconds, queue))
        for _ in range(processes)
    ]
    for process in started:
        process.start()
    time.sleep(seconds)
    with engine.connect() as connection:
        count = text("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'nas'")
        connections = int(connection.scalar(count) or 0) - 2
    results = [queue.get() for _ in started]
    for process in started:
        process.join()
    storage.close()
    engine.dispose()
    show(results, finished, workers, connections)


def fill(study: SearchStudy, slots: Slots, engine: Engine, finished: int) -> None:
    """Finished trials: some told one by one, the others copies of their rows."""
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


# The copies' scores fall off, or all of them would lie on the front.
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
    url: str, folder: Path, name: str, threads: int, seconds: float, queue: multiprocessing.Queue[tuple[Timings, float]]
) -> None:
    """One process of workers."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    timings, until = Timings(), time.monotonic() + seconds
    engine = database.create_engine(url)

    def one_worker(place: int) -> None:
        with timings.of("join"):
            storage = Storage.connect(url, folder, window=WINDOW_TRIALS)
            study, slots = SearchStudy.open(storage, name), Slots(engine, name)
        number, is_first = 1000 * place, True
        while time.monotonic() < until:
            with timings.of("claim"):
                lease = slots.claim(f"{os.getpid()}-{place}", 60.0)
            assert lease is not None
            one_trial(study, slots, lease, timings, number, is_first=is_first)
            number, is_first = number + 1, False
        storage.close()

    crew = [threading.Thread(target=one_worker, args=(place,)) for place in range(threads)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
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
    """A trial as a supervisor sees it through, its training a sleep."""
    with timings.of("first ask" if is_first else "ask"):
        trial = study.ask()
        slots.attach(lease, trial.trial_id, trial.genome.key)
    cost = Cost(20_000 + 1_000 * (hash(trial.genome.key) % 900), 1_000_000)
    with timings.of("report"):
        study.note_genome(trial, cost)
        slots.twin(trial.genome.key)
        slots.renew(lease, 60.0)
    if sleep:
        time.sleep(TRIAL_SECONDS)
    with timings.of("tell"):
        slots.renew(lease, 60.0)
        study.tell_completed(
            trial, completed(0.3 + 0.4 * (hash((trial.genome.key, number)) % 1000) / 1000), cost, WEIGHTS
        )
        slots.finish(lease, "completed")


WEIGHTS = Path(__file__)  # What is uploaded does not matter here.


def completed(macro_f1: float) -> Completed:
    """A result as large as a real one."""
    per_class = tuple(ClassScores(name, macro_f1, macro_f1, macro_f1, 60) for name in CLASSES)
    scores = Scores(0.8, macro_f1, macro_f1, macro_f1, 0.8, 0.8, 0.8, per_class, ())
    curve = tuple(
        EpochRecord(epoch, 1 / epoch, 1 / epoch, macro_f1, 0.8, 1234.5, 10.0 * epoch) for epoch in range(1, 21)
    )
    return Completed(scores, curve, 200.0, "cpu, bfloat16", {"kept_epoch": 20.0, "orthogonality_defect": 104.0})


def show(results: list[tuple[Timings, float]], finished: int, workers: int, connections: int) -> None:
    """Print the steps' milliseconds, and their sum as a share of a trial of 30 s."""
    merged: dict[str, list[float]] = defaultdict(list)
    for timings, _ in results:
        for step, samples in timings.samples.items():
            merged[step] += samples
    megabytes = max(peak for _, peak in results)
    print(
        f"\n{finished:,} finished trials, {workers} workers in {len(results)} processes, {connections} connections, "
        f"at most {megabytes:.0f} MB a process, load {os.getloadavg()[0]:.1f}"
    )
    for step in ("join", "first ask", *STEPS):
        if samples := sorted(merged[step]):
            p95 = samples[min(len(samples) - 1, int(0.95 * len(samples)))]
            print(f"{step:>10}: median {statistics.median(samples):8.1f} ms, p95 {p95:8.1f} ms, n = {len(samples)}")
    own = sum(statistics.median(merged[step]) for step in STEPS if merged[step])
    print(
        f"  a trial's own: {own:.0f} ms, {own / (10 * LONG_TRIAL_SECONDS):.2f} % of {LONG_TRIAL_SECONDS:.0f} s",
        flush=True,
    )


if __name__ == "__main__":
    main()
