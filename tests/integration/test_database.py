"""The embedded server with real processes: sharing, kills, Ctrl-C, stale and half-written files."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url

from nas import database
from nas.errors import DatabaseError

# Starts or joins the server, prints a line, and exits normally after a line on standard input.
USER = "import sys; from pathlib import Path; from nas import database; {0}; print('up', flush=True); input()"
JOIN = "database.start(Path(sys.argv[1]))"
KEEP = "database.start(Path(sys.argv[1]), keep_running=True)"


@contextmanager
def user(home: Path, action: str = JOIN, *, new_group: bool = False) -> Iterator[subprocess.Popen[str]]:
    """Run another process that uses the server."""
    process = subprocess.Popen(
        [sys.executable, "-c", USER.format(action), str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=new_group,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
        if process.poll() is None:
            process.communicate("\n", timeout=20)
    finally:
        process.kill()
        process.communicate()


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()


def postmaster_file(home: Path) -> Path:
    return database.data_directory(home) / "postmaster.pid"


def server_pid(home: Path) -> int:
    return int(postmaster_file(home).read_text().splitlines()[0])


def kill_server(home: Path) -> None:
    """Kill the server as the kernel does when memory is short; its own child processes then end by themselves."""
    server = psutil.Process(server_pid(home))
    children = server.children()
    server.kill()
    psutil.wait_procs([server, *children], timeout=5)


def select_one(url: str) -> None:
    engine = database.create_engine(url)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1
    engine.dispose()


@pytest.fixture
def home(new_home: Callable[[], Path]) -> Iterator[Path]:
    folder = new_home()
    yield folder
    database.stop(folder)


def test_the_last_of_several_processes_stops_the_server(home: Path) -> None:
    with user(home):
        with user(home):
            first = server_pid(home)
        assert database.is_running(home)
        assert server_pid(home) == first
    assert not database.is_running(home)


def test_processes_that_leave_at_once_stop_the_server(home: Path) -> None:
    with user(home, KEEP), user(home) as one, user(home) as two, user(home) as three:
        database.data_directory(home).with_name("postgres.keep").unlink()
        for process in (one, two, three):
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        for process in (one, two, three):
            process.wait(20)
        assert not database.is_running(home)


def test_processes_that_start_at_once_share_one_server(home: Path) -> None:
    command = [sys.executable, "-c", USER.format(JOIN), str(home)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in processes:
        _, errors = process.communicate("\n", timeout=30)
        assert process.returncode == 0, errors
        assert errors == ""
    assert not database.is_running(home)


def test_after_kill_nine_of_all_users_the_next_takes_over_and_stops_the_server(home: Path) -> None:
    with user(home) as one, user(home) as two:
        kill(one)
        kill(two)
        survivor = server_pid(home)
        assert database.is_running(home)
        with user(home):
            assert server_pid(home) == survivor
        assert not database.is_running(home)


def test_stop_by_hand_works_after_kill_nine_and_under_living_users(home: Path) -> None:
    with user(home) as process:
        kill(process)
    assert database.is_running(home)
    assert database.stop(home)
    assert not database.is_running(home)
    with user(home):
        assert database.stop(home)
        assert not database.is_running(home)
        assert not database.stop(home)


def test_keep_running_outlives_every_process_until_stop(home: Path) -> None:
    with user(home, KEEP):
        pass
    with user(home):
        pass
    assert database.is_running(home)
    assert database.stop(home)
    with user(home):
        pass
    assert not database.is_running(home), "stop also ends keep_running"


def test_a_killed_server_is_started_again_with_its_data(home: Path) -> None:
    url = database.start(home)
    engine = database.create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE kept (id int)"))
    engine.dispose()
    kill_server(home)
    assert not database.is_running(home)
    engine = database.create_engine(database.start(home))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM kept")) == 0
    engine.dispose()


def test_a_reused_process_id_is_not_taken_for_the_server(home: Path) -> None:
    database.start(home)
    kill_server(home)
    path = postmaster_file(home)
    # Of the server's own account: a process of another account would not make PostgreSQL refuse to start.
    account = path.stat().st_uid if os.geteuid() == 0 else None
    with subprocess.Popen(["sleep", "60"], user=account) as stranger:
        try:
            path.write_text("\n".join([str(stranger.pid), *path.read_text().splitlines()[1:], ""]))
            assert not database.is_running(home)
            assert not database.stop(home)
            select_one(database.start(home))
            assert server_pid(home) != stranger.pid
            assert stranger.poll() is None, "and it was left alone"
        finally:
            stranger.kill()


@pytest.mark.parametrize("lines", [0, 1, 5, 7])
def test_a_half_written_file_is_waited_for(home: Path, lines: int) -> None:
    url = database.start(home)
    path = postmaster_file(home)
    whole = path.read_text()
    path.write_text("".join(whole.splitlines(keepends=True)[:lines]))
    assert not database.is_running(home)
    timer = threading.Timer(0.5, path.write_text, [whole])
    began = time.monotonic()
    timer.start()
    assert database.start(home) == url
    assert time.monotonic() - began > 0.4
    timer.join()


def test_an_empty_file_that_stays_empty_is_removed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.database.postgres_cluster._UNREADABLE_SECONDS", 0.5)
    database.start(home)
    database.stop(home)
    postmaster_file(home).write_text("")
    select_one(database.start(home))


def test_ctrl_c_reaches_the_users_and_not_the_server(home: Path) -> None:
    with user(home, new_group=True) as starter, user(home):
        server = server_pid(home)
        assert os.getsid(server) not in (os.getsid(starter.pid), os.getsid(0))
        os.killpg(starter.pid, signal.SIGINT)  # what the terminal sends to everything in the foreground
        starter.wait(20)
        assert starter.returncode != 0
        assert database.is_running(home)
        assert server_pid(home) == server


def test_a_forked_child_that_ends_does_not_stop_the_server(home: Path) -> None:
    fork = f"{JOIN}; import os; child = os.fork(); child or sys.exit(); os.waitpid(child, 0)"
    with user(home, fork):
        assert database.is_running(home)
    assert not database.is_running(home)


def test_long_and_odd_paths_work(new_home: Callable[[], Path]) -> None:
    outer = new_home()
    home = outer / ("long" * 40) / 'it\'s, a "$HOME" with 100% ä'
    sockets = Path(str(make_url(database.start(home)).query["host"]))
    try:
        select_one(database.start(home))
    finally:
        database.stop(home)
        shutil.rmtree(database.data_directory(home).parent)
        shutil.rmtree(sockets, ignore_errors=True)


def test_only_the_servers_account_can_reach_data_and_socket(server_home: Path) -> None:
    url = make_url(database.start(server_home))
    for folder in (database.data_directory(server_home), Path(str(url.query["host"]))):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_as_root_no_folder_above_the_home_is_opened(new_home: Callable[[], Path]) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    home = new_home()  # its parent is mkdtemp's, closed to everyone else
    database.start(home)
    assert stat.S_IMODE(home.parent.stat().st_mode) == 0o700
    assert not home.exists()
    database.stop(home)


def test_the_environment_of_other_servers_does_not_matter(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGPORT": "6000", "PGDATA": "/nowhere", "PGHOST": "nowhere", "LANG": "xx_YY.UTF-8"}.items():
        monkeypatch.setenv(name, value)
    select_one(database.start(home))


def test_a_server_that_cannot_start_is_one_line_with_the_log(home: Path) -> None:
    database.start(home)
    database.stop(home)
    with (database.data_directory(home) / "postgresql.conf").open("a") as configuration:
        configuration.write("shared_buffers = nonsense\n")
    with pytest.raises(DatabaseError, match=r"pg_ctl failed.*FATAL.*server\.log") as caught:
        database.start(home)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None


def test_a_folder_that_is_something_else_is_left_alone(home: Path) -> None:
    data = database.data_directory(home)
    data.mkdir(parents=True)
    (data / "holiday.jpg").touch()
    with pytest.raises(DatabaseError, match="is not a PostgreSQL data directory"):
        database.start(home)
    assert [path.name for path in data.iterdir()] == ["holiday.jpg"]


def test_data_of_another_postgresql_is_refused(home: Path) -> None:
    data = database.data_directory(home)
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("16\n")
    with pytest.raises(DatabaseError, match="made by PostgreSQL 16, this nas embeds 18"):
        database.start(home)


def test_a_home_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("as root nothing is written to the home")
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseError, match="make the folder writable, or set NAS_HOME"):
        database.start(tmp_path / "file" / "home")


def test_no_server_where_there_is_no_home(new_home: Callable[[], Path]) -> None:
    home = new_home()
    assert not database.is_running(home)
    assert not database.stop(home)
    assert not home.exists()
