"""Several files described at a time, in their order.

A remote storage takes a round trip for each file. A member of such a file is made before its
storage has been asked; where many of them are at hand, several are asked for at a time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Sequence,
)
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import aclosing, closing
from datetime import datetime
from functools import partial
from threading import Lock
from typing import Any, NamedTuple, NoReturn

from django_stream_zip import Method, conf
from django_stream_zip.engine.streams import aclose, close
from django_stream_zip.planning.content import Content
from django_stream_zip.prefetch.ambient import carried


class PendingMember(tuple[str, datetime, int, Method, Content]):
    """A member whose storage is asked when its values are first looked at.

    It is asked in the context in which the member was made: whose file it is may depend on that. To
    Python this is the tuple of the five values, whatever way it is looked at. Where C code reads a
    tuple's memory instead (`"%s" % member`), it finds an empty one and fails: never other values.
    """

    def __new__(cls, describe: Callable[[], Any]) -> PendingMember:
        """Make an empty tuple."""
        return super().__new__(cls)

    def __init__(self, describe: Callable[[], Any]) -> None:
        self._describe = partial(carried(), describe)
        self._values: tuple[Any, ...] | None = None
        self._lock = Lock()

    @property
    def is_described(self) -> bool:
        """Whether the storage has been asked."""
        return self._values is not None

    def described(self) -> tuple[Any, ...]:
        """Return the five values. Raises what the storage raises, which is then asked again."""
        with self._lock:
            if self._values is None:
                self._values = tuple(self._describe())
                del self._describe  # and with it the context
            return self._values

    def then(self, change: Callable[[Any], Any]) -> PendingMember:
        """Return the member that `change` makes of this one, pending as well."""
        return PendingMember(lambda: change(self.described()))

    def __repr__(self) -> str:
        # For pages and logs of errors, which must not ask a storage.
        return repr(self._values) if self.is_described else "<a member, not described yet>"

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (self.described(),)

    def __hash__(self) -> int:
        return hash(self.described())

    def __len__(self) -> int:
        return 5

    def __iter__(self) -> Iterator[Any]:
        return iter(self.described())

    def __getitem__(self, index: Any) -> Any:
        return self.described()[index]

    def __contains__(self, value: object) -> bool:
        return value in self.described()

    def count(self, value: Any) -> int:
        """Return how often a value is among the five."""
        return self.described().count(value)

    def index(self, value: Any, *between: Any) -> int:
        """Return where a value is among the five."""
        return self.described().index(value, *between)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, tuple) and self.described() == other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __lt__(self, other: tuple[Any, ...]) -> bool:
        return self.described() < other

    def __le__(self, other: tuple[Any, ...]) -> bool:
        return self.described() <= other

    def __gt__(self, other: tuple[Any, ...]) -> bool:
        return self.described() > other

    def __ge__(self, other: tuple[Any, ...]) -> bool:
        return self.described() >= other

    def __add__(self, other: Any) -> Any:
        return self.described() + tuple(other) if isinstance(other, tuple) else NotImplemented

    def __radd__(self, other: Any) -> Any:
        return other + self.described() if isinstance(other, tuple) else NotImplemented

    def __mul__(self, times: Any) -> Any:
        return self.described() * times

    __rmul__ = __mul__


class Question(NamedTuple):
    """What is asked about something. Of what is remote, the answer may be on its way."""

    subject: Any
    ask: Callable[[], Any]
    is_remote: bool = False
    future: Future[Any] | None = None

    def answer(self) -> Any:
        """Return the answer, or raise what went wrong."""
        return self.ask() if self.future is None else self.future.result()

    async def aanswer(self) -> Any:
        """Do the same without blocking the event loop for what is on its way."""
        return self.ask() if self.future is None else await asyncio.wrap_future(self.future)


class _Queue:
    """Questions in their order, of which up to `number` are asked at a time."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._pool = (
            ThreadPoolExecutor(number, thread_name_prefix="zip_describe") if number else None
        )
        self.waiting: deque[Any] = deque()

    def append(self, question: Any) -> None:
        is_remote = isinstance(question, Question) and question.is_remote
        if self._pool is not None and is_remote:
            question = question._replace(future=self._pool.submit(question.ask))
        self.waiting.append(question)

    def due(self) -> Iterator[Any]:
        """Yield those to answer now: what isn't remote is answered before more is looked at."""
        while self.waiting and self._is_due():
            yield self.waiting.popleft()

    def _is_due(self) -> bool:
        # Of what isn't a question there is none to wait for.
        first, last = (getattr(self.waiting[at], "future", None) for at in (0, -1))
        return len(self.waiting) >= self._number or last is None or first is None or first.done()

    def rest(self) -> Iterator[Any]:
        while self.waiting:
            yield self.waiting.popleft()

    def close(self) -> None:
        """Ask no more. Threads that are asking end with their answers."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)


def prefetched(questions: Iterable[Any], number: int | None = None) -> Generator[Any, None, None]:
    """Yield the questions in their order, to be answered in this order.

    What is behind a remote one is looked at while it is asked, up to the setting's number. Among
    them may stand what isn't a `Question`, and keeps its place.
    """
    with closing(_Queue(conf.get("DESCRIBE_AT_ONCE") if number is None else number)) as queue:
        waiting = queue.waiting
        for question in questions:
            if waiting or (question.__class__ is Question and question.is_remote):
                queue.append(question)
                yield from queue.due()
            else:
                yield question
        yield from queue.rest()


def all_described(members: Any) -> Any:
    """Return the same members, or of pending ones the values: several are described at a time.

    Of a sequence now, raising what the first of them in its order raises; of another iterable as it
    is iterated.
    """
    number = conf.get("DESCRIBE_AT_ONCE")
    if isinstance(members, Sequence):
        is_pending = any(issubclass(kind, PendingMember) for kind in set(map(type, members)))
        return list(_described(members, number)) if is_pending else members
    if hasattr(members, "__aiter__"):
        return _adescribed(members, max(number, 1))  # in a thread, not to hold the event loop
    return _described(members, number)


def _described(members: Iterable[Any], number: int) -> Generator[Any, None, None]:
    iterator = iter(members)
    try:
        with closing(prefetched(_questions(iterator), number)) as questions:
            for question in questions:
                yield question.answer()
    finally:
        close(iterator)


def _questions(members: Iterator[Any]) -> Iterator[Question]:
    try:
        for member in members:
            yield _question(member)
    except Exception as error:
        yield failing(None, error)  # in its place, after what came before


async def _adescribed(members: Any, number: int) -> AsyncGenerator[Any, None]:
    iterator = aiter(members)
    try:
        with closing(_Queue(number)) as queue:
            async with aclosing(_aquestions(iterator)) as questions:
                async for question in questions:
                    queue.append(question)
                    for one in queue.due():
                        yield await one.aanswer()
                for one in queue.rest():
                    yield await one.aanswer()
    finally:
        await aclose(iterator)


async def _aquestions(members: AsyncIterator[Any]) -> AsyncGenerator[Question, None]:
    try:
        async for member in members:
            yield _question(member)
    except Exception as error:
        yield failing(None, error)


def _question(member: Any) -> Question:
    if isinstance(member, PendingMember):
        return Question(member, member.described, is_remote=not member.is_described)
    return Question(member, lambda: member)


def failing(subject: Any, error: Exception) -> Question:
    """Return a question whose answer is an error."""
    return Question(subject, partial(_raise, error))


def _raise(error: Exception) -> NoReturn:
    raise error
