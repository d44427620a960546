"""Fixtures: a completed search, its dashboard, nginx as a proxy, and a headless Chromium.

Needs Chromium and its driver (Debian: chromium, chromium-driver), selenium (the extra `browser`), and for the proxy
nginx: `make test-browser`.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService

from nas import database
from tests.e2e.conftest import SPACE, STUDY, Terminal

_OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1400,1200",
)  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(address: str) -> None:
    """Block until the address returns any HTTP response, for at most 60 seconds."""
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(address, timeout=10).close()
            return
        except urllib.error.HTTPError as error:
            error.close()
            return
        except (urllib.error.URLError, ConnectionError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@pytest.fixture(scope="session")
def terminal() -> Iterator[Terminal]:
    """Terminal after a small completed search on digits, whose worker wrote figures and note."""
    workspace = Terminal(Path(tempfile.mkdtemp(prefix="nas-browser-")))
    workspace.write("space.toml", SPACE)
    workspace.write("study.toml", STUDY)
    home = workspace.folder / "home"
    database.start(home, keep_running=True)
    workspace.run("search", "study.toml")
    yield workspace
    database.stop(home)
    if os.geteuid() == 0:
        shutil.rmtree(database.data_directory(home).parent, ignore_errors=True)
    shutil.rmtree(workspace.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def dashboard(terminal: Terminal) -> Iterator[str]:
    """Address of `nas dashboard --read-only`, which shows only what the worker wrote."""
    port = free_port()
    with terminal.start("dashboard", "--read-only", "--port", str(port)) as process:
        try:
            wait_for(f"http://127.0.0.1:{port}/")
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGINT)
            _, errors = process.communicate(timeout=30)
    assert "Traceback" not in errors, errors


@pytest.fixture
def browser() -> Iterator[Chrome]:
    """Headless Chromium with a new profile."""
    options = ChromeOptions()
    options.binary_location = _installed("chromium")
    profile = tempfile.mkdtemp(prefix="nas-chromium-")
    for option in (*_OPTIONS, f"--user-data-dir={profile}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = Chrome(options=options, service=ChromeService(_installed("chromedriver")))
    yield chrome
    chrome.quit()
    shutil.rmtree(profile, ignore_errors=True)


def _installed(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        pytest.fail(f"{program} is not installed; on Debian: apt install chromium chromium-driver nginx", pytrace=False)
    return path


@pytest.fixture
def proxy(dashboard: str) -> Iterator[tuple[str, Path]]:
    """Address and access log of nginx as a reverse proxy of the dashboard, with the service's template."""
    template = Path(__file__).parents[2] / "workers" / "proxy" / "nginx.conf.template"
    if not template.exists():
        pytest.skip("there is no proxy in this source tree")
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        pytest.fail("nginx is not installed; on Debian: apt install nginx", pytrace=False)
    folder, port = Path(tempfile.mkdtemp(prefix="nas-nginx-")), free_port()
    password = subprocess.run(["openssl", "passwd", "-6", "secret-word"], capture_output=True, text=True, check=True)
    (folder / "htpasswd").write_text(f"nas:{password.stdout.strip()}\n")
    log = folder / "access.log"
    configuration = template.read_text()
    for placeholder, replacement in (
        ("@HOSTS@", "127.0.0.1"),
        ("listen 8080", f"listen 127.0.0.1:{port}"),
        ("http://dashboard:8080", dashboard),
        ("/tmp/", f"{folder}/"),
        ("/dev/stdout", str(log)),
    ):
        assert placeholder in configuration, f"the template has no {placeholder} any more"
        configuration = configuration.replace(placeholder, replacement)
    (folder / "nginx.conf").write_text(configuration)
    if os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, "nobody", "nogroup")
    command = [nginx, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log"), "-g", "daemon off;"]
    account = {"user": "nobody", "group": "nogroup", "extra_groups": ()} if os.geteuid() == 0 else {}
    with subprocess.Popen(command, **account) as process:  # type: ignore[call-overload]
        try:
            wait_for(f"http://127.0.0.1:{port}/")
            yield f"http://127.0.0.1:{port}", log
        finally:
            process.send_signal(signal.SIGQUIT)
            process.wait(timeout=20)
    shutil.rmtree(folder, ignore_errors=True)
