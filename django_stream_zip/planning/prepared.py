"""Contents made ready in a thread, some at a time, so that an event loop can open them at once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from django_stream_zip.planning.steps import Call, Step

# Several smaller ones are read with one hop to a thread, which takes less.
_LARGE: Final = 384 << 10
_AT_A_TIME: Final = 64
# In seconds: how long a thread may take for it, and how long the kernel is sure to remember.
_MOMENT: Final = 0.02
_LASTS: Final = 10


class Prepared:
    """How many of a window's members have been made ready, and until when that lasts."""

    def __init__(self, members: Sequence[Any]) -> None:
        self._members = members
        self._stop = 0
        self._lasts_until = 0.0

    def before(self, number: int) -> Iterator[Step]:
        """Yield what is to be done before a member, where nothing may wait: nothing, mostly."""
        if number >= self._stop or time.monotonic() > self._lasts_until:
            self._stop = number
            yield Call(self._prepare)

    def _prepare(self) -> None:
        now = time.monotonic()
        self._lasts_until = now + _LASTS
        for member in self._members[self._stop : self._stop + _AT_A_TIME]:
            content: Any = member[4]
            if hasattr(content, "prepare") and (content.size or 0) >= _LARGE:
                content.prepare()
            self._stop += 1
            if time.monotonic() > now + _MOMENT:
                break
