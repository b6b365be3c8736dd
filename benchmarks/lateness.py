"""How late a timer on an event loop is."""

from __future__ import annotations

import asyncio
from contextlib import suppress

_SECONDS = 0.005


class Lateness:
    """A timer that goes off all the time and notes how late it is; it starts when first asked."""

    def __init__(self) -> None:
        self._samples: list[float] = []
        self._task: asyncio.Task[None] | None = None

    def taken(self) -> list[float]:
        """Return by how many seconds it was late each time since it was asked last."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._tick())
        samples, self._samples = self._samples, []
        return samples

    async def _tick(self) -> None:
        now = asyncio.get_running_loop().time
        with suppress(asyncio.CancelledError):
            while True:
                due = now() + _SECONDS
                await asyncio.sleep(_SECONDS)
                self._samples.append(now() - due)
