"""Limit on the number of steps that the host queues ahead of the GPU."""

from __future__ import annotations

from collections import deque

import torch

_STEPS_AHEAD = 4


class RunAheadLimit:
    """Limit of four queued steps on a GPU; no effect on other devices, where the host is never ahead.

    One step ahead keeps a GPU busy, and a few more hide occasional work of the host. Without a limit a thousand steps
    would be queued: a pause would take effect after all of them, and the measured step time, on which hang detection
    is based, would be the queueing time.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._ends: deque[torch.cuda.Event] = deque()

    def step_queued(self) -> None:
        """Record a step queued on the current stream, and wait until at most four steps are pending."""
        if self._device.type != "cuda":
            return
        # A blocking event suspends the host thread, because other trials need its cores. Passed events are reused.
        if len(self._ends) < _STEPS_AHEAD:
            end = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        else:
            end = self._ends.popleft()
            end.synchronize()
        end.record(torch.cuda.current_stream(self._device))
        self._ends.append(end)
