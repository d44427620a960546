"""docker-compose.yml under a project name, a port and secrets of its own, on a study of minutes."""

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
# The study's folder takes the place of studies/; a lost worker is missed sooner than by default.
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
    """The services, driven by the commands that a user would type."""

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
        # Readable inside containers, whose users are nobody here.
        for path in (self.folder, studies):
            path.chmod(0o755)
        subprocess.run([ROOT / "workers/make-secrets.sh", self.folder / "secrets"], check=True, capture_output=True)

    @cached_property
    def secrets(self) -> dict[str, str]:
        """Every secret's text, by the name of its file."""
        return {file.name: file.read_text(encoding="utf-8").strip() for file in (self.folder / "secrets").iterdir()}

    def compose(self, *arguments: str, timeout: float = 600) -> str:
        """Run docker compose to its end, which must be a good one; returns its standard output."""
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
        """Identifiers of the containers of a service, or of all."""
        labels = [f"com.docker.compose.project={self.project}", "com.docker.compose.oneoff=False"]
        if service is not None:
            labels.append(f"com.docker.compose.service={service}")
        command = ["docker", "ps", "--no-trunc", "--quiet", *([] if running else ["--all"])]
        return run([*command, *(f"--filter=label={label}" for label in labels)]).split()

    def inspect(self, service: str | None = None) -> list[dict[str, Any]]:
        """What Docker knows of the containers."""
        found: list[dict[str, Any]] = json.loads(run(["docker", "inspect", *self.containers(service)]))
        return found

    def query(self, statement: str) -> list[list[str]]:
        """Rows of a query by the database's superuser."""
        container = self.containers("postgres", running=True)[0]
        script = (
            'PGPASSWORD="$(cat /run/secrets/postgres_password)" exec psql -h 127.0.0.1 -U postgres nas --csv -tc "$1"'
        )
        rows = run(["docker", "exec", container, "sh", "-c", script, "sh", statement])
        return [line.split(",") for line in rows.splitlines() if line]

    def number(self, statement: str) -> int:
        """The one number that a query gives."""
        return int(self.query(statement)[0][0])

    def owners(self) -> set[str]:
        """Containers, by the twelve characters that are their host names, that hold a slot now."""
        held = "SELECT DISTINCT split_part(owner, ':', 1) FROM nas_slots WHERE state = 'open' AND until > now()"
        return {row[0] for row in self.query(held)}

    def done(self) -> int:
        """Slots that are closed for good."""
        return self.number("SELECT count(*) FROM nas_slots WHERE state = 'done'")

    def events(self, container: str) -> list[dict[str, Any]]:
        """What a worker has written on standard output."""
        return [json.loads(line) for line in run(["docker", "logs", container]).splitlines()]

    def front(self) -> dict[str, Any]:
        """`nas front --json`, in a container of its own."""
        result: dict[str, Any] = json.loads(
            self.compose("run", "--rm", "--no-deps", "-T", "worker", "front", STUDY, "--json")
        )
        return result


def run(command: Sequence[str | Path], *, timeout: float = 600, variables: dict[str, str] | None = None) -> str:
    """Run a program in the project's folder to its end, which must be a good one; returns its standard output."""
    ours = {key: value for key, value in os.environ.items() if not key.startswith(("NAS_", "COMPOSE_"))}
    result = subprocess.run(
        command, cwd=ROOT, env={**ours, **(variables or {})}, timeout=timeout, capture_output=True, text=True
    )
    assert result.returncode == 0, f"{command}: exit code {result.returncode}\n{result.stdout}\n{result.stderr}"
    return result.stdout


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 480) -> float:
    """Ask twice a second until it holds; returns the seconds that took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"after {seconds:.0f} s still not: {what}"
        time.sleep(0.5)
    return time.monotonic() - began


def _compose_command() -> list[str]:
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True)
    return ["docker", "compose"] if plugin.returncode == 0 else ["docker-compose"]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
