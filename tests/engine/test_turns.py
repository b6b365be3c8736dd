"""Whose turn it is: long work waits for it, short work and other contexts don't."""

from __future__ import annotations

from contextlib import AbstractContextManager
from contextvars import Context, copy_context
from datetime import datetime
from io import BytesIO
from zipfile import ZipFile

from django_stream_zip import ZIP_32, stream_zip
from django_stream_zip.engine.turns import TURN

TIME = datetime(2024, 2, 29, 12, 34, 56)
MODE = 0o100644
LONG = bytes(100_000)


def taken_turns(chunks: list[bytes]) -> int:
    """Write a deflated member in a context of its own; count the turns that were taken."""
    turns: list[str] = []

    class Turns(AbstractContextManager[None]):
        def __enter__(self) -> None:
            turns.append("taken")

        def __exit__(self, *error: object) -> None:
            turns.append("given back")

    def write() -> bytes:
        TURN.set(Turns())
        return b"".join(stream_zip([("a", TIME, MODE, ZIP_32, chunks)]))

    with ZipFile(BytesIO(copy_context().run(write))) as archive:
        assert archive.read("a") == b"".join(chunks)
    assert turns == ["taken", "given back"] * (len(turns) // 2)
    return len(turns) // 2


def test_long_work_takes_a_turn_for_each_chunk() -> None:
    assert taken_turns([LONG] * 3) == 3


def test_short_work_takes_none() -> None:
    assert taken_turns([b"short"] * 3) == 0


def test_nobody_waits_by_default() -> None:
    def twice() -> bool:
        with TURN.get(), TURN.get():
            return bool(b"".join(stream_zip([("a", TIME, MODE, ZIP_32, [LONG])])))

    # Not the context of the tests: asgiref carries back to it what responses have set.
    assert Context().run(twice)
