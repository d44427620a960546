"""How far the host may run ahead of the device."""

from __future__ import annotations

from collections import deque

import torch

_STEPS_AHEAD = 4


class RunAhead:
    """Keeps the host at most four steps ahead of a GPU; elsewhere the host is never ahead.

    One step ahead keeps a GPU busy, and a few more hide what the host does now and then. Without a limit a thousand
    steps would be queued: a pause would take effect after all of them, and the time a step takes, from which the
    patience with a silent training is reckoned, would be the time it takes to queue it.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._ends: deque[torch.cuda.Event] = deque()

    def step_queued(self) -> None:
        """A step was queued on the device's current stream; wait until all but the last few are done."""
        if self._device.type != "cuda":
            return
        # The host sleeps while it waits: other trials need its cores. An event that has passed is used again.
        if len(self._ends) < _STEPS_AHEAD:
            end = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        else:
            end = self._ends.popleft()
            end.synchronize()
        end.record(torch.cuda.current_stream(self._device))
        self._ends.append(end)
