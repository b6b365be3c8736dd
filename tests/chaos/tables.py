"""What an archive can be like: for the site that makes it and for those who choose."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

# Which of what a row knows is declared, and which members are compressed.
SHAPES: dict[str, tuple[tuple[str, ...], Callable[[int], bool]]] = {
    "stored": ((), lambda number: False),
    "known": (("crc",), lambda number: False),
    "declared": (("crc", "size", "at"), lambda number: False),
    "declared-size": (("size", "at"), lambda number: False),
    "row": (("crc", "size", "at", "validator"), lambda number: False),
    "row-size": (("size", "at", "validator"), lambda number: False),
    "deflated": ((), lambda number: True),
    "mixed": ((), lambda number: number % 2 == 0),
    "generator": ((), lambda number: False),
}
ENDINGS: dict[str, type[BaseException]] = {
    "CancelledError": asyncio.CancelledError,
    "GeneratorExit": GeneratorExit,
    "OSError": OSError,
}

# What may be in a cache where a CRC-32 is looked for.
POISON: tuple[Any, ...] = (0xDEADBEEF, 0, -1, 1 << 40, True, None, "text", b"bytes", 1.5)
