"""A notebook: the live view is in the cell's output, and an interrupt pauses the search and returns the study."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import SPACE, STUDY, Terminal

pytest.importorskip("ipykernel")
client = pytest.importorskip("jupyter_client")

pytestmark = [pytest.mark.timeout(600), pytest.mark.filterwarnings("ignore")]


class Kernel:
    """Running kernel, and the messages that its last cell sent."""

    def __init__(self, terminal: Terminal) -> None:
        self.manager = client.KernelManager()
        self.manager.start_kernel(cwd=str(terminal.folder), env=terminal.environment)
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=120)
        self.messages: list[dict[str, Any]] = []

    def run(self, code: str) -> None:
        self.messages = []
        reply = self.client.execute_interactive(code, timeout=400, output_hook=self.messages.append)
        assert reply["content"]["status"] == "ok", reply["content"]

    @property
    def html(self) -> list[str]:
        kinds = ("display_data", "update_display_data", "execute_result")
        shown = [one["content"]["data"] for one in self.messages if one["msg_type"] in kinds]
        return [data["text/html"] for data in shown if "text/html" in data]

    @property
    def text(self) -> str:
        return "".join(one["content"]["text"] for one in self.messages if one["msg_type"] == "stream")

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()


def test_a_search_in_a_notebook(new_machine: Callable[[str], Terminal]) -> None:
    terminal = new_machine("notebook")
    terminal.variables["NAS_SLOTS"] = "1"
    terminal.write("space.toml", SPACE)
    terminal.write("study.toml", STUDY + "[baseline]\nenabled = false\n")
    kernel = Kernel(terminal)
    try:
        kernel.run("import nas\nstudy = nas.search('study.toml', trials=3)")
        assert any("3 of 3 trials" in page and "Front so far" in page for page in kernel.html)
        assert "[3/3]" in kernel.text
        kernel.run("study.front()")
        assert "<table" in kernel.html[-1]

        def interrupt() -> None:
            while "[5/400]" not in kernel.text:
                time.sleep(0.2)
            kernel.manager.interrupt_kernel()
            time.sleep(0.5)
            # Impatient users press twice.
            kernel.manager.interrupt_kernel()

        thread = threading.Thread(target=interrupt)
        thread.start()
        kernel.run("study = study.search(trials=400)")
        thread.join()
        assert "Paused: the running trials keep their checkpoints" in kernel.text
        kernel.run("print(5 <= study.status.done < 400)")
        assert kernel.text == "True\n"
    finally:
        kernel.close()
