"""Docker Compose service: workers are added, stopped and killed, and every trial of the budget runs exactly once.

The tests depend on each other and run in order.
"""

from __future__ import annotations

import base64
import http.client
import json
import time
from typing import Any

import pytest

from tests.compose.stack import STUDY, TRIALS, Stack, run, wait_until

pytestmark = pytest.mark.timeout(2400)

CONFINED = ("roles", "study", "worker", "dashboard", "proxy")


def test_the_study_is_created_and_its_baseline_trained(stack: Stack):
    assert [container["State"]["ExitCode"] for container in stack.inspect("study")] == [0]
    assert stack.query_number("SELECT count(*) FROM nas_slots") == TRIALS + 1
    front = stack.front()
    assert front["study"] == STUDY
    assert front["baseline"]["params"] > 11_000_000
    assert 0 < front["baseline"]["macro_f1"] <= 1


def test_a_killed_container_s_trial_goes_on_elsewhere(stack: Stack):
    wait_until(lambda: len(stack.lease_owners()) == 3, "three workers with a trial")
    victim = stack.containers("worker", running=True)[0]
    last: list[dict[str, Any]] = []

    def is_in_the_middle_of_a_trial() -> bool:
        last[:] = stack.events(victim)[-1:]
        return last[0]["event"] == "epoch_ended" and 2 <= last[0]["epoch"] <= 8

    wait_until(is_in_the_middle_of_a_trial, "a trial under way")
    run(["docker", "kill", victim])
    others = [one for one in stack.containers("worker") if one != victim]

    def resumed() -> list[dict[str, Any]]:
        events = [event for one in others for event in stack.events(one)]
        return [event for event in events if event["event"] == "trial_resumed" and event["trial"] == last[0]["trial"]]

    seconds = wait_until(lambda: bool(resumed()), "the killed worker's trial resumed by another")
    epochs_done = resumed()[0]["epochs_done"]
    print(f"\ntrial {last[0]['trial']} went on elsewhere {seconds:.0f} s later, after epoch {epochs_done}")
    assert epochs_done >= last[0]["epoch"] - 1


def test_a_worker_that_crashes_is_started_again(stack: Stack):
    crashing = stack.containers("worker", running=True)[0]
    before = json.loads(run(["docker", "inspect", crashing]))[0]["RestartCount"]
    run(["docker", "exec", crashing, "sh", "-c", "kill -9 $(cat /proc/1/task/1/children)"])
    wait_until(lambda: json.loads(run(["docker", "inspect", crashing]))[0]["RestartCount"] > before, "a restart", 60)


@pytest.mark.parametrize("count", [2, 6, 1])
def test_workers_are_scaled(stack: Stack, count: int):
    stack.compose("up", "--detach", "--scale", f"worker={count}")
    running = len(stack.containers("worker", running=True))
    done = stack.count_done_slots()
    print(f"\n{running} workers, {done} of {TRIALS + 1} slots done")
    # Workers exit once the budget is spent.
    assert running == count or done == TRIALS + 1


def test_a_stop_gives_every_trial_back_and_an_up_goes_on(stack: Stack):
    # A restarted container may still hold the lease from before its crash, under the same name.
    stopping = {
        container["Config"]["Hostname"]
        for container in stack.inspect("worker")
        if container["State"]["Running"] and container["RestartCount"] == 0
    }
    stack.compose("stop", "worker")
    codes = {one["Config"]["Hostname"]: one["State"]["ExitCode"] for one in stack.inspect("worker")}
    assert {codes[name] for name in stopping} <= {0, 130}
    assert stopping & stack.lease_owners() == set()
    before = stack.count_done_slots()
    stack.compose("stop")
    assert stack.containers(running=True) == []
    stack.compose("up", "--detach", "--scale", "worker=3")
    assert stack.count_done_slots() >= before
    wait_until(lambda: stack.containers("worker", running=True) == [], "the budget spent", 1200)
    print(f"\n{before} slots done before the stop, {stack.count_done_slots()} at the end")


def test_every_slot_was_done_once_and_nothing_runs(stack: Stack):
    reasons = dict(stack.query("SELECT reason, count(*) FROM nas_slots GROUP BY reason"))
    print(f"\nslots: {reasons}")
    assert (
        stack.count_done_slots() == stack.query_number("SELECT count(DISTINCT trial_id) FROM nas_slots") == TRIALS + 1
    )
    assert stack.query_number("SELECT count(*) FROM trials WHERE state = 'RUNNING'") == 0
    completed = stack.query_number("SELECT count(*) FROM trials WHERE state = 'COMPLETE'")
    # More completed trials than slots would mean that a trial ran twice.
    assert completed == sum(int(reasons.get(reason, 0)) for reason in ("completed", "reused"))
    front = stack.front()["front"]
    assert front
    sizes = [point["params"] for point in front]
    assert sizes == sorted(sizes)
    assert max(point["macro_f1"] for point in front) == front[-1]["macro_f1"] > 0.3


def test_the_workers_logs_are_json(stack: Stack):
    for container in stack.containers("worker"):
        events = stack.events(container)
        assert events
        assert {"time", "event", "study"} <= set.intersection(*(set(event) for event in events))


@pytest.mark.parametrize("service", CONFINED)
def test_a_container_is_confined(stack: Stack, service: str):
    for container in stack.inspect(service):
        host = container["HostConfig"]
        assert container["Config"]["User"] not in ("", "root", "0", "0:0")
        assert host["CapDrop"] == ["ALL"]
        assert not host["CapAdd"]
        assert not host["Privileged"]
        assert host["ReadonlyRootfs"] is True
        assert "no-new-privileges:true" in host["SecurityOpt"]
        assert host["Init"] is True
        assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}


@pytest.mark.parametrize("service", ["dashboard", "proxy"])
def test_a_process_has_no_capabilities_and_cannot_write(stack: Stack, service: str):
    container = stack.containers(service, running=True)[0]
    status = run(["docker", "exec", container, "cat", "/proc/1/status"])
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(fields["CapEff"], 16) == int(fields["CapPrm"], 16) == 0
    assert "0" not in fields["Uid"].split()
    writing = run(["docker", "exec", container, "sh", "-c", "touch /file /usr/file 2>/dev/null; echo $?"])
    assert writing.strip() != "0"


def test_postgres_is_not_published(stack: Stack):
    (postgres,) = stack.inspect("postgres")
    assert postgres["HostConfig"]["PortBindings"] in ({}, None)
    assert postgres["HostConfig"]["CapDrop"] == ["ALL"]
    (proxy,) = stack.inspect("proxy")
    assert proxy["HostConfig"]["PortBindings"] == {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": str(stack.port)}]}


def test_no_password_is_in_an_environment_a_command_or_a_log(stack: Stack):
    passwords = {name: text for name, text in stack.secrets.items() if name.endswith("_password")}
    assert len(set(passwords.values())) == 4
    for container in stack.inspect():
        configuration = json.dumps(container)
        logs = run(["sh", "-c", f"docker logs {container['Id']} 2>&1"])
        for name, password in passwords.items():
            assert password not in configuration, f"{name} in docker inspect {container['Name']}"
            assert password not in logs, f"{name} in docker logs {container['Name']}"


READER = """
import psycopg
url = open("/run/secrets/reader_url").read().strip()
with psycopg.connect(url, autocommit=True) as connection:
    print(connection.execute("SELECT count(*) FROM nas_slots").fetchone()[0])
    connection.execute("SET default_transaction_read_only = off")
    for statement in (
        "UPDATE nas_slots SET state = 'open'", "DELETE FROM trials", "INSERT INTO studies VALUES (99, 'x')",
        "CREATE TABLE x ()", "CREATE TEMPORARY TABLE y ()", "DROP TABLE trials",
    ):
        try:
            connection.execute(statement)
            print("done:", statement)
        except psycopg.errors.InsufficientPrivilege:
            pass
"""


def test_the_dashboard_s_role_reads_and_cannot_write(stack: Stack):
    container = stack.containers("dashboard", running=True)[0]
    assert run(["docker", "exec", container, "python", "-c", READER]).split("\n") == [str(TRIALS + 1), ""]


def request_status(
    stack: Stack, method: str, *, password: str | None = None, host: str | None = None, path: str = "/"
) -> int:
    """Send a request to the proxy and return its status code."""
    connection = http.client.HTTPConnection("127.0.0.1", stack.port, timeout=30)
    headers = {"Host": host} if host else {}
    if password is not None:
        headers["Authorization"] = "Basic " + base64.b64encode(f"nas:{password}".encode()).decode()
    try:
        connection.request(method, path, body=b"{}" if method in ("POST", "PUT") else None, headers=headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_the_proxy_lets_in_who_has_the_password_and_only_to_read(stack: Stack):
    password = stack.secrets["dashboard_password"]
    deadline = time.monotonic() + 60
    while request_status(stack, "GET", password=password) in (502, 504) and time.monotonic() < deadline:
        time.sleep(1)
    assert request_status(stack, "GET", password=password, path="/dashboard/") == 200
    assert request_status(stack, "GET", password=password, path="/api/studies") == 200
    assert request_status(stack, "HEAD", password=password, path="/dashboard/") == 200
    for method in ("GET", "HEAD", "POST", "DELETE"):
        assert request_status(stack, method) == 401
        assert request_status(stack, method, password="wrong") == 401
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        assert request_status(stack, method, password=password, path="/api/studies") == 403
    for host in ("evil.example", "dashboard:8080", "127.0.0.1.evil.example"):
        assert request_status(stack, "GET", password=password, host=host) in (403, 421)
