"""Stack of docker-compose.yml with its own project name, port and secrets, and a study of a few minutes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
STUDY = "compose-test"
TRIALS = 24

_STUDY_FILE = f"""
name = "{STUDY}"
search_space = "space.toml"
[data]
source = "digits"
max_train_images = 300
[budget]
trials = {TRIALS}
epochs = 12
[sampler]
startup_trials = 6
"""
_SPACE_FILE = """
[architecture]
family = ["vgg", "resnet", "densenet", "mobilenet"]
num_stages = 2
stem_width = { low = 8, high = 24 }
depth = [1, 2]
width = { low = 8, high = 32 }
growth_rate = [4, 8]
[recipe]
learning_rate = { low = 1e-3, high = 1e-2, log = true }
batch_size = 4
"""
# The study's folder replaces studies/. Leases are shorter than by default, so that a lost worker is detected sooner.
_MOUNTS = """
x-test: &test
  volumes: ["FOLDER:/srv/nas/studies:ro"]
  environment: { NAS_LEASE_SECONDS: 20, NAS_CHECKPOINT_SECONDS: 0, NAS_THREADS: 1 }
services:
  study: *test
  worker: *test
"""


@dataclass
class Stack:
    """Services of the stack, controlled by docker compose commands."""

    folder: Path
    project: str = field(default_factory=lambda: f"nas-test-{uuid.uuid4().hex[:8]}")
    port: int = field(default_factory=lambda: _free_port())

    def prepare(self) -> None:
        """Write the study, the secrets and the file that mounts the study."""
        studies = self.folder / "studies"
        studies.mkdir(parents=True)
        (studies / "small.toml").write_text(_STUDY_FILE, encoding="utf-8")
        (studies / "space.toml").write_text(_SPACE_FILE, encoding="utf-8")
        (self.folder / "mounts.yml").write_text(_MOUNTS.replace("FOLDER", str(studies)), encoding="utf-8")
        # Readable inside the containers, whose user IDs do not exist on this machine.
        for path in (self.folder, studies):
            path.chmod(0o755)
        subprocess.run([ROOT / "workers/make-secrets.sh", self.folder / "secrets"], check=True, capture_output=True)

    @cached_property
    def secrets(self) -> dict[str, str]:
        """Contents of the secret files, by file name."""
        return {file.name: file.read_text(encoding="utf-8").strip() for file in (self.folder / "secrets").iterdir()}

    def compose(self, *arguments: str, timeout: float = 600) -> str:
        """Run docker compose, require exit code 0 and return its standard output."""
        files = ("docker-compose.yml", "docker-compose.cpu.yml", str(self.folder / "mounts.yml"))
        return run(
            [*_compose_command(), "--project-name", self.project, *(f"--file={name}" for name in files), *arguments],
            timeout=timeout,
            variables={
                "NAS_SECRETS": str(self.folder / "secrets"),
                "NAS_STUDY": "small",
                "NAS_PROXY_PORT": str(self.port),
                "NAS_PROXY_ADDRESS": "127.0.0.1",
            },
        )

    def containers(self, service: str | None = None, *, running: bool = False) -> list[str]:
        """Return the container IDs of a service, or of all services."""
        labels = [f"com.docker.compose.project={self.project}", "com.docker.compose.oneoff=False"]
        if service is not None:
            labels.append(f"com.docker.compose.service={service}")
        command = ["docker", "ps", "--no-trunc", "--quiet", *([] if running else ["--all"])]
        return run([*command, *(f"--filter=label={label}" for label in labels)]).split()

    def inspect(self, service: str | None = None) -> list[dict[str, Any]]:
        """Return the output of `docker inspect` for the containers."""
        containers: list[dict[str, Any]] = json.loads(run(["docker", "inspect", *self.containers(service)]))
        return containers

    def query(self, statement: str) -> list[list[str]]:
        """Run a query as the database superuser and return its rows."""
        container = self.containers("postgres", running=True)[0]
        script = (
            'PGPASSWORD="$(cat /run/secrets/postgres_password)" exec psql -h 127.0.0.1 -U postgres nas --csv -tc "$1"'
        )
        rows = run(["docker", "exec", container, "sh", "-c", script, "sh", statement])
        return [line.split(",") for line in rows.splitlines() if line]

    def query_number(self, statement: str) -> int:
        """Run a query and return its single number."""
        return int(self.query(statement)[0][0])

    def lease_owners(self) -> set[str]:
        """Return the host names (twelve characters of the ID) of the containers that hold a lease."""
        statement = "SELECT DISTINCT split_part(owner, ':', 1) FROM nas_slots WHERE state = 'open' AND until > now()"
        return {row[0] for row in self.query(statement)}

    def count_done_slots(self) -> int:
        """Return the number of finished slots."""
        return self.query_number("SELECT count(*) FROM nas_slots WHERE state = 'done'")

    def events(self, container: str) -> list[dict[str, Any]]:
        """Return the JSON events in a worker's log."""
        return [json.loads(line) for line in run(["docker", "logs", container]).splitlines()]

    def front(self) -> dict[str, Any]:
        """Return the output of `nas front --json`, run in a new container."""
        result: dict[str, Any] = json.loads(
            self.compose("run", "--rm", "--no-deps", "-T", "worker", "front", STUDY, "--json")
        )
        return result


def run(command: Sequence[str | Path], *, timeout: float = 600, variables: dict[str, str] | None = None) -> str:
    """Run a program in the project's folder, require exit code 0 and return its standard output."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("NAS_", "COMPOSE_"))}
    result = subprocess.run(
        command, cwd=ROOT, env={**inherited, **(variables or {})}, timeout=timeout, capture_output=True, text=True
    )
    assert result.returncode == 0, f"{command}: exit code {result.returncode}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def wait_until(condition: Callable[[], bool], description: str, seconds: float = 480) -> float:
    """Poll a condition every half second until it holds; return the seconds taken."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, f"after {seconds:.0f} s still not: {description}"
        time.sleep(0.5)
    return time.monotonic() - start


def _compose_command() -> list[str]:
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True)
    return ["docker", "compose"] if plugin.returncode == 0 else ["docker-compose"]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
