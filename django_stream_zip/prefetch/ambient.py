"""The context variables of a request, for the work that is left when it was answered.

Middleware sets a tenant, a language or a time zone, and resets it before the first byte is made.
The archive is to be made with the values that the view had. So that runs in a copy of the view's
context, and what it sets stays in the copy.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from contextvars import Context, ContextVar, copy_context
from functools import partial
from types import coroutine
from typing import Any, Final, TypeVar

from asgiref import sync
from asgiref.sync import AsyncToSync, SyncToAsync

T = TypeVar("T")

# Everything undocumented that is used of asgiref is here. tests/web/test_ambient.py states what is
# expected of each, and fails with a release that behaves otherwise.

# A `Local`, as the active language is one, is for its own thread only; this brings it to another.
# Releases of asgiref in which it is for every thread don't need that.
_restore: Final[Callable[[Context], None]] = getattr(sync, "_restore_context", lambda context: None)

# How asgiref finds the thread for synchronous code: by context variables, and by a `Local`.
_ROUTES: Final[tuple[ContextVar[Any], ...]] = (
    SyncToAsync.thread_sensitive_context,
    SyncToAsync.deadlock_context,
)
_EXECUTORS: Final[Any] = AsyncToSync.executors


def carried() -> Callable[..., Any]:
    """Return a callable that runs a function in another thread, in a copy of this context."""
    return partial(_call_moved, copy_context())


def _call_moved(context: Context, function: Callable[..., T], *arguments: Any) -> T:
    context.run(_restore, context.copy())
    return context.run(function, *arguments)


class Ambient:
    """A context in which steps are run, one at a time."""

    def __init__(self, context: Context | None) -> None:
        self._context = context
        self._is_ready = False

    def handed_over(self) -> Ambient:
        """Return one with this context, for steps that run those of this one in other threads.

        No context can be entered twice. So this one will run its next step in a copy.
        """
        outer = Ambient(self._context)
        self._context = None
        return outer

    def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a step."""
        return self._ready().run(function, *arguments)

    @coroutine
    def wait(self, awaitable: Awaitable[T]) -> Generator[Any, Any, T]:
        """Wait for something, each step of which is run in the context."""
        context = self._ready()
        steps: Any = awaitable.__await__()
        step, value = steps.send, None
        try:
            while True:
                waited_for = context.run(step, value)
                try:
                    step, value = steps.send, (yield waited_for)
                except GeneratorExit:
                    context.run(steps.close)
                    raise
                except BaseException as error:
                    step, value = steps.throw, error
        except StopIteration as stop:
            result: T = stop.value
            return result

    def _ready(self) -> Context:
        if self._context is None:
            self._context = copy_context()
        if not self._is_ready:
            self._is_ready = True
            _settle(self._context)
        return self._context


def _settle(context: Context) -> None:
    """Make the context one of this thread, with the routes that asgiref takes from here.

    Those of the view may be closed: the thread of a synchronous middleware serves an asynchronous
    view only until that has answered.
    """
    context.run(_restore, context.copy())
    for route in _ROUTES:
        value = route.get(None)
        if context.get(route) is not value:
            context.run(route.set, value)
    executor = getattr(_EXECUTORS, "current", None)
    context.run(setattr, _EXECUTORS, "current", executor)


class AmbientBlocks:
    """Iterates blocks, each made in a context."""

    def __init__(self, blocks: Generator[bytes, None, None], ambient: Ambient) -> None:
        self._blocks = blocks
        self._ambient = ambient

    def __iter__(self) -> AmbientBlocks:
        return self

    def __next__(self) -> bytes:
        return self._ambient.run(self._blocks.__next__)

    def close(self) -> None:
        """Close what makes them."""
        self._ambient.run(self._blocks.close)


class AsyncAmbientBlocks:
    """The same, asynchronous."""

    def __init__(
        self, blocks: AsyncGenerator[bytes, None] | AsyncIterator[bytes], ambient: Ambient
    ) -> None:
        self._blocks: Any = blocks
        self._ambient = ambient

    def __aiter__(self) -> AsyncAmbientBlocks:
        return self

    def __anext__(self) -> Awaitable[bytes]:
        return self._ambient.wait(self._blocks.__anext__())

    def aclose(self) -> Awaitable[None]:
        """Close what makes them."""
        return self._ambient.wait(self._blocks.aclose())
