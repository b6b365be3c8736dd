"""The drivers of steps: what comes before what, and where."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from django_stream_zip.engine.encoders import STORED
from django_stream_zip.planning.drivers import driven
from django_stream_zip.planning.plan import Plan
from django_stream_zip.planning.steps import Call, Reading, Step
from django_stream_zip.prefetch.source import Direct
from django_stream_zip.prefetch.waiting import not_waiting
from tests.support.contents import NoChecksums, counting_member


def test_what_an_action_raises_comes_before_any_block() -> None:
    def steps() -> Generator[Step, None, None]:
        yield Call(lambda: 1 // 0)
        yield b"never"

    with pytest.raises(ZeroDivisionError):
        next(driven(steps(), Direct[Any]()))


def test_where_nothing_may_wait_a_block_without_bytes_comes_before_an_action() -> None:
    done: list[int] = []

    def steps() -> Generator[Step, None, None]:
        yield Call(lambda: done.append(1))

    blocks = driven(steps(), Direct[Any]())
    with not_waiting():
        assert (next(blocks), done) == (b"", [])
    assert (list(blocks), done) == ([b""], [1])


@pytest.mark.parametrize("stop", [50_000, None])
def test_a_member_has_no_long_chunks_taken_on_an_event_loop(stop: int | None) -> None:
    plan = Plan.of([counting_member("a.jpg", b"a" * 100_000)])
    assert plan is not None
    steps = plan.steps(
        0, stop or plan.length, checksums=NoChecksums(), begun=str, source=Direct[Any]()
    )
    reading = next(step for step in steps if isinstance(step, Reading))
    assert reading.slow_from == STORED.slow_from
