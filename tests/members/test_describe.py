"""Members that are described later: a tuple in every way, several at a time, errors in order."""

from __future__ import annotations

import asyncio
import copy
import operator
import pickle
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from datetime import datetime
from typing import Any

import pytest
from django.test import RequestFactory

from django_stream_zip import NO_COMPRESSION_AUTO
from django_stream_zip.engine import members as engine_members
from django_stream_zip.members import bytes_member
from django_stream_zip.members.describe import PendingMember, all_described
from django_stream_zip.members.misuse import checked_values
from django_stream_zip.planning.content import Content
from django_stream_zip.response import zip_response
from tests.support.network import eventually

TIME = datetime(2024, 2, 29, 12, 34, 56)
VALUES = ("a.jpg", TIME, 0o644, NO_COMPRESSION_AUTO(1), (b"x",))
TENANT: ContextVar[str] = ContextVar("TENANT", default="nobody")


def pending(values: tuple[Any, ...] = VALUES) -> Any:
    return PendingMember(lambda: values)


def star(*values: Any) -> tuple[Any, ...]:
    return values


def five(member: Any) -> tuple[Any, ...]:
    name, modified_at, mode, method, content = member
    return name, modified_at, mode, method, content


def first_and_rest(member: Any) -> tuple[Any, ...]:
    first, *rest = member
    return (first, *rest)


def matched(member: Any) -> tuple[Any, ...]:
    match member:
        case (name, modified_at, mode, method, content):
            return name, modified_at, mode, method, content
    return ()


def extended(member: Any) -> tuple[Any, ...]:
    values: list[Any] = []
    values += member
    return tuple(values)


LOOKED_AT: dict[str, Callable[[Any], Any]] = {
    "tuple": tuple,
    "sorted": lambda member: tuple(sorted(member, key=lambda value: VALUES.index(value))),
    "star": lambda member: (*member,),
    "call": lambda member: star(*member),
    "five": five,
    "first and rest": first_and_rest,
    "match": matched,
    "iter": lambda member: tuple(iter(member)),
    "reversed": lambda member: tuple(reversed(member))[::-1],
    "each": lambda member: tuple(member[index] for index in range(len(member))),
    "from the end": lambda member: tuple(member[index - 5] for index in range(5)),
    "slices": lambda member: member[:1] + member[1:],
    "added": lambda member: operator.add(member, (1,))[:5],
    "added to": lambda member: operator.add((1,), member)[1:],
    "times": lambda member: (member * 2)[5:],
    "times from the left": lambda member: (2 * member)[5:],
    "extended": extended,
    "zipped": lambda member: tuple(value for value, _ in zip(member, range(5), strict=True)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda member: pickle.loads(pickle.dumps(member)),
    "engine": engine_members.unpacked,
    "response": checked_values,
}


@pytest.mark.parametrize("way", LOOKED_AT)
def test_a_pending_member_is_its_five_values_whatever_way_it_is_looked_at(way: str) -> None:
    # As often as the interpreter takes to replace its own instructions by special ones.
    for _ in range(100):
        found = LOOKED_AT[way](pending())
        assert type(found) is tuple
        assert found == VALUES


def test_a_pending_member_compares_as_its_values() -> None:
    later = ("b.jpg", *VALUES[1:])
    member = pending()
    assert (member == VALUES, member == VALUES, member == pending()) == (True, True, True)
    assert (member != VALUES, member != VALUES, member == later) == (False, False, False)
    assert (member == list(VALUES), member is None) == (False, False)
    assert (member < later, later > member, pending(later) > member) == (True, True, True)
    assert (member <= VALUES, member <= VALUES) == (True, True)
    assert sorted([pending(later), member])[0] is member
    assert {member: 1}[VALUES] == 1
    assert (len(member), bool(member), TIME in member) == (5, True, True)
    assert (member.count(TIME), member.index(TIME), member.index(TIME, 1)) == (1, 1, 1)


def test_who_reads_the_memory_of_a_pending_member_fails() -> None:
    with pytest.raises(TypeError, match="not enough arguments"):
        operator.mod("%s %s %s %s %s", pending())
    with pytest.raises(IndexError):
        tuple.__getitem__(pending(), 0)


def test_a_pending_member_is_described_once_and_not_by_its_repr() -> None:
    asked: list[int] = []

    def describe() -> tuple[Any, ...]:
        asked.append(1)
        return VALUES

    member = PendingMember(describe)
    assert repr(member) == "<a member, not described yet>"
    assert len(member) == 5
    assert asked == []
    assert (tuple(member), tuple(member), repr(member)) == (VALUES, VALUES, repr(VALUES))
    assert asked == [1]


def test_a_pending_member_is_asked_again_after_an_error() -> None:
    answers: list[Any] = [OSError("broke off"), VALUES]

    def describe() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    member = PendingMember(describe)
    with pytest.raises(OSError, match="broke off"):
        tuple(member)
    assert tuple(member) == VALUES


# Several.


class Storage:
    """Makes members that take their time, and counts how many are asked for at once.

    The first answers come when `gathers` are asked for.
    """

    def __init__(self, seconds: float = 0.02, gathers: int = 1) -> None:
        self.seconds = seconds
        self.gathers = gathers
        self.at_once = self.most_at_once = 0
        self.asked: list[str] = []
        self.tenants: list[str] = []
        self._lock = threading.Lock()

    def member(
        self, name: str, error: Exception | None = None, seconds: float | None = None
    ) -> Any:
        def describe() -> Any:
            with self._lock:
                self.asked.append(name)
                self.tenants.append(TENANT.get())
                self.at_once += 1
                self.most_at_once = max(self.at_once, self.most_at_once)
            eventually(lambda: self.most_at_once >= self.gathers)
            time.sleep(self.seconds if seconds is None else seconds)
            with self._lock:
                self.at_once -= 1
            if error is not None:
                raise error
            return bytes_member(name.encode(), name)

        return PendingMember(describe)

    def members(self, number: int) -> list[Any]:
        return [self.member(f"{one:03}.jpg") for one in range(number)]


NAMES = [f"{one:03}.jpg" for one in range(80)]


def by_list(members: list[Any]) -> list[Any]:
    return list(all_described(members))


def by_generator(members: list[Any]) -> list[Any]:
    return list(all_described(iter(members)))


def by_async_generator(members: list[Any]) -> list[Any]:
    async def given() -> AsyncIterator[Any]:
        for member in members:
            yield member

    async def found() -> list[Any]:
        return [member async for member in all_described(given())]

    return asyncio.run(found())


WAYS = pytest.mark.parametrize("way", [by_list, by_generator, by_async_generator])
Way = Callable[[list[Any]], list[Any]]


def describing() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("zip_describe")]


@WAYS
@pytest.mark.parametrize(("number", "at_once"), [(None, 32), (5, 5), (1, 1), (0, 1)])
def test_so_many_are_described_at_a_time_and_come_in_order(
    way: Way, number: int | None, at_once: int, settings: Any
) -> None:
    if number is not None:
        settings.DJANGO_STREAM_ZIP = {"DESCRIBE_AT_ONCE": number}
    storage = Storage(0.01, gathers=at_once)
    assert [member[0] for member in way(storage.members(80))] == NAMES
    assert storage.most_at_once == at_once
    assert sorted(storage.asked) == NAMES
    assert eventually(lambda: not describing())


@WAYS
def test_the_first_error_of_the_list_is_raised_and_nothing_goes_on(way: Way) -> None:
    storage = Storage()
    members = storage.members(200)
    members[5] = storage.member("late", FileNotFoundError("the sixth"), seconds=0.2)
    members[6] = storage.member("soon", PermissionError("the seventh"), seconds=0)
    with pytest.raises(FileNotFoundError, match="the sixth"):
        way(members)
    assert eventually(lambda: not describing())
    assert len(storage.asked) <= 5 + 32
    assert storage.at_once == 0


@WAYS
def test_each_is_described_in_the_context_in_which_it_was_made(way: Way) -> None:
    storage, members = Storage(0), []
    for tenant in ("first", "second"):
        token = TENANT.set(tenant)
        members += storage.members(3)
        TENANT.reset(token)
    way(members)
    assert sorted(storage.tenants) == ["first"] * 3 + ["second"] * 3
    tuple(Storage().member("alone"))


@WAYS
def test_other_members_keep_their_places(way: Way) -> None:
    storage, plain = Storage(), bytes_member(b"plain", "plain.jpg")
    members = [*storage.members(2), plain, *storage.members(2)]
    found = way(members)
    assert [member[0] for member in found] == [*NAMES[:2], "plain.jpg", *NAMES[:2]]
    assert found[2] is plain
    assert {type(member) for member in found} == {tuple}


def test_a_list_without_pending_members_is_the_same_list() -> None:
    members = [bytes_member(b"x", "a.jpg")]
    assert all_described(members) is members


async def anext_and_close(found: Any, number: int, given: list[str]) -> list[list[str]]:
    seen = []
    for _ in range(number):
        await anext(found)
        seen.append(list(given))
    await found.aclose()
    return seen


def next_and_close(found: Any, number: int, given: list[str]) -> list[list[str]]:
    seen = []
    for _ in range(number):
        next(found)
        seen.append(list(given))
    found.close()
    return seen


@pytest.mark.parametrize("is_async", [False, True])
def test_a_generator_is_asked_for_no_more_behind_a_member_that_is_not_pending(
    is_async: bool,
) -> None:
    given: list[str] = []
    storage = Storage(0.05)

    def members() -> Iterator[Any]:
        for member in (*storage.members(2), bytes_member(b"x", "x.jpg"), *storage.members(2)):
            given.append("pending" if isinstance(member, PendingMember) else "plain")
            yield member

    async def amembers() -> AsyncIterator[Any]:
        for member in members():
            yield member

    if is_async:
        seen = asyncio.run(anext_and_close(all_described(amembers()), 3, given))
    else:
        seen = next_and_close(all_described(members()), 3, given)
    assert seen == [["pending", "pending", "plain"]] * 3
    assert eventually(lambda: not describing())


def test_a_slow_generator_is_not_waited_for() -> None:
    storage, given = Storage(0), []

    def members() -> Iterator[Any]:
        for member in storage.members(40):
            time.sleep(0.02)
            given.append(1)
            yield member

    found = all_described(members())
    next(found)
    assert len(given) < 32
    found.close()


@pytest.mark.parametrize("way", [by_generator, by_async_generator])
def test_what_fails_behind_is_raised_behind(way: Way) -> None:
    def members() -> Iterator[Any]:
        yield from Storage().members(3)
        raise LookupError("the fourth")

    found: list[str] = []

    def noted() -> Iterator[Any]:
        for member in all_described(members()):
            found.append(member[0])
            yield member

    async def given() -> AsyncIterator[Any]:
        for member in members():
            yield member

    async def anoted() -> None:
        async for member in all_described(given()):
            found.append(member[0])

    with pytest.raises(LookupError, match="the fourth"):
        list(noted()) if way is by_generator else asyncio.run(anoted())
    assert found == NAMES[:3]


@pytest.mark.parametrize("is_async", [False, True])
def test_who_stops_iterating_closes_the_generator_and_asks_no_more(is_async: bool) -> None:
    storage, closed = Storage(), []

    def members() -> Iterator[Any]:
        try:
            yield from storage.members(200)
        finally:
            closed.append(True)

    async def amembers() -> AsyncIterator[Any]:
        try:
            for member in storage.members(200):
                yield member
        finally:
            closed.append(True)

    async def first() -> None:
        found = all_described(amembers())
        await anext(found)
        await found.aclose()

    if is_async:
        asyncio.run(first())
    else:
        found = all_described(members())
        next(found)
        found.close()
    assert closed == [True]
    assert eventually(lambda: not describing())
    assert len(storage.asked) <= 32


def test_the_event_loop_goes_on_while_members_of_an_async_generator_are_described() -> None:
    turns = 0
    found_turns: list[bool] = []

    def describe() -> Any:
        found_turns.append(eventually(lambda: turns > 5))  # which a loop that waits never makes
        return bytes_member(b"a", "a.jpg")

    async def given() -> AsyncIterator[Any]:
        yield PendingMember(describe)

    async def found() -> list[Any]:
        return [member async for member in all_described(given())]

    async def count() -> None:
        nonlocal turns
        task = asyncio.create_task(found())
        while not task.done():
            await asyncio.sleep(0.001)
            turns += 1
        assert len(await task) == 1

    asyncio.run(count())
    assert found_turns == [True]


def test_a_response_has_the_length_and_the_tag_of_members_that_were_pending() -> None:
    members = Storage().members(40)
    response: Any = zip_response(RequestFactory().get("/"), members)
    same: Any = zip_response(RequestFactory().get("/"), [tuple(member) for member in members])
    assert response.headers["ETag"] == same.headers["ETag"]
    assert response.headers["Content-Length"] == same.headers["Content-Length"]
    assert response.getvalue() == same.getvalue()


def test_a_response_raises_what_describing_raises() -> None:
    members = [*Storage().members(3), Storage().member("x", FileNotFoundError("x"))]
    with pytest.raises(FileNotFoundError):
        zip_response(RequestFactory().get("/"), members)


def test_a_content_is_what_was_described() -> None:
    content: Content = pending(bytes_member(b"x", "a.jpg"))[4]
    assert b"".join(content) == b"x"
