"""The chunks that wait for their turn, and the budget of bytes that they share.

Pure bookkeeping: a fetcher puts chunks in, a reader takes them out. Threads and tasks only wait.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from threading import Condition, RLock
from typing import Any, Final

#: What the next chunk is expected to need until it has come, if none before it was longer.
CHUNK_LENGTH: Final = 256 << 10
# What a chunk takes besides its bytes: a million of one byte are more than a megabyte.
_OVERHEAD: Final = 64


def nothing() -> None:
    """Claim nothing."""


class Budget:
    """How many bytes may wait for their turn, of all contents together.

    Hold `lock` to look at it, or at a buffer of it.
    """

    def __init__(self, length: int) -> None:
        self.free = length
        # For the content whose turn it is: otherwise those behind it take all, and it gets on chunk
        # by chunk. Of a budget for few chunks nothing is set aside, or nothing would be prefetched.
        self.share = length // 4 if length >= 4 * CHUNK_LENGTH else 0
        self.is_closed = False
        self.lock = RLock()
        self.waiting: list[Waiter] = []

    def change(self) -> None:
        """Wake those who can go on. Call it with the lock held, whenever something changed.

        Each of them gets what it waits for before the next one is looked at. Woken without it, all
        would come for what is there for one: six were for each chunk, where tasks share a budget.
        """
        for waiter in tuple(self.waiting):
            if waiter.is_ready():
                self.waiting.remove(waiter)
                waiter.claim()
                waiter.wake()

    def wait(self, is_ready: Callable[[], bool], claim: Callable[[], object] = nothing) -> None:
        """Wait in a thread until it can go on, and claim what it waits for."""
        with self.lock:
            if is_ready():
                claim()
                return
            woken = Condition(self.lock)
            waiter = Waiter(is_ready, claim, woken.notify)
            self.waiting.append(waiter)
            while waiter in self.waiting:
                woken.wait()

    def close(self) -> None:
        """Want no more of anything."""
        with self.lock:
            self.is_closed = True
            self.change()


@dataclass(eq=False, slots=True)
class Waiter:
    """Somebody who waits in a budget: for what, what they take of it then, how to wake them."""

    is_ready: Callable[[], bool]
    claim: Callable[[], object]
    wake: Callable[[], object]


class Buffer:
    """The chunks of one content, between its fetcher and its taker.

    The content whose turn it is always has budget for one chunk, and a share that is kept for it,
    whatever waits behind it. Hold `budget.lock` to call it.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.is_due = False
        self._error: Exception | None = None
        self._chunks: deque[bytes] = deque()
        self._longest = CHUNK_LENGTH
        self._reserved = 0
        self._is_over = False
        self._is_closed = False

    @property
    def is_begun(self) -> bool:
        """Whether something of it can be taken at once."""
        return bool(self._chunks) or self._is_over

    @property
    def is_unwanted(self) -> bool:
        """Whether nobody wants any more of it."""
        return self._is_closed or self.budget.is_closed

    def can_be_fetched(self) -> bool:
        """Return whether there is budget for one more chunk, or no reason to wait for it."""
        if self.is_due:
            has_budget = self.budget.free >= self._longest or not self._chunks
        else:
            has_budget = self.budget.free - self.budget.share >= self._longest
        return has_budget or self.is_unwanted

    def can_be_taken(self) -> bool:
        """Return whether there is nothing to wait for."""
        return self.is_begun or self.is_unwanted

    def reserve(self) -> None:
        """Reserve bytes for the next chunk, as many as the longest had."""
        self._reserve(self._longest)

    def keep(self, chunk: bytes) -> None:
        """Keep a chunk in the bytes that were reserved for it, if it is still wanted."""
        if self.is_unwanted:
            return
        self._chunks.append(chunk)
        self.budget.free -= cost(chunk)
        self._longest = max(self._longest, cost(chunk))
        self._reserve(0)

    def end(self, error: BaseException | None) -> None:
        """Record that nothing more comes, and the error that is the reason, if one is."""
        self._error = closed_error() if self.is_unwanted else _ordinary(error)
        self._is_over = True
        self._reserve(0)

    def ask(self) -> None:
        """Record that it is its turn."""
        self.is_due = True
        self.budget.change()

    def taken(self) -> tuple[bytes, ...]:
        """Return the next chunk, or none at the end. Raises what fetching it raised, once."""
        if self._chunks:
            chunk = self._chunks.popleft()
            self._release(cost(chunk))
            return (chunk,)
        if not self._is_over:
            raise closed_error()
        error, self._error = self._error, None
        if error is not None:
            raise error
        return ()

    def want_no_more(self) -> None:
        """Drop all chunks. Taking one nevertheless raises an error."""
        self._is_closed = True
        if self._chunks:
            self._error = closed_error()
        length = sum(map(cost, self._chunks))
        self._chunks.clear()
        self._release(length)

    def _reserve(self, length: int) -> None:
        before, self._reserved = self._reserved, length
        self._release(before - length)

    def _release(self, length: int) -> None:
        self.budget.free += length
        if length >= 0:  # nobody waits for less budget
            self.budget.change()


def as_bytes(chunk: Any) -> bytes:
    """Return a chunk as bytes that nobody changes while they wait.

    What isn't bytes-like is returned as it is: the engine raises what is wrong.
    """
    try:
        return chunk if chunk.__class__ is bytes else bytes(memoryview(chunk))
    except TypeError:
        return chunk  # type: ignore[no-any-return]


def cost(chunk: bytes) -> int:
    """Return how much of the budget a chunk takes."""
    return _OVERHEAD + (len(chunk) if isinstance(chunk, bytes) else 0)


def _ordinary(error: BaseException | None) -> Exception | None:
    """Return what to raise to the one who takes the chunks, if fetching them ended by an error.

    A cancelled or closed fetcher must not look like a cancelled or closed taker, and an exception
    that ends an iteration not like the end of the content.
    """
    if error is None:
        return None
    if isinstance(error, Exception) and not isinstance(error, StopIteration | StopAsyncIteration):
        return error
    ordinary = RuntimeError(f"fetching the content was ended by {type(error).__name__}")
    ordinary.__cause__ = error
    return ordinary


def closed_error() -> Exception:
    """Return what to raise where something is read too late."""
    return ValueError("the content is closed: read it before the next member is asked for")
