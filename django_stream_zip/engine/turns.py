"""Whose turn it is to work the processor: by default everybody's at once.

An event loop gets late when more threads compress than there are processors for them and for it.
Who serves from one puts a semaphore here, for the context of a download.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Any, Final

_EVERYBODYS: Final = nullcontext()

#: Taken for each piece of long work.
TURN: Final[ContextVar[AbstractContextManager[Any]]] = ContextVar("TURN", default=_EVERYBODYS)
