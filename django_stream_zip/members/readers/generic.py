"""Any storage, through what every one has: `open()`, `size()`, `get_modified_time()`.

And storages with `open_stream()`, which is proposed for django-storages (its issue 1568): a file
that can only be read forward, from a position, and isn't loaded whole first.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Generator, Iterator
from contextlib import suppress
from contextvars import copy_context
from datetime import datetime
from typing import Any, ClassVar

from django_stream_zip.members.build import seconds_of, unexpected
from django_stream_zip.members.files import has_settled, one_state
from django_stream_zip.members.misuse import check_known
from django_stream_zip.members.readers.places import whereabouts
from django_stream_zip.members.readers.reader import Metadata, Reader, derived_validator
from django_stream_zip.planning.content import ContentChangedError


class GenericReader(Reader):
    """Reads through `storage.open()`, in the context in which the reader was made.

    The storage is asked for size and time before the file is opened and again after its last byte,
    unless a row knows both and the CRC-32, but no validator. (A size that a row holds isn't
    compared with the storage's, which may be that of something encrypted or encoded.)
    """

    def __init__(self, storage: Any, name: str, *, decode: bool | None = None) -> None:
        super().__init__(storage, name, decode=decode)
        # Which file it is, a storage may decide when it is opened: by a context variable.
        self._context = copy_context()
        # Or by something of the calling thread, which nothing can bring elsewhere.
        self._whereabouts = whereabouts(storage, name)

    def _forget(self) -> None:
        super()._forget()
        self._described: dict[str, Any] = {}  # the storage's answers

    def describe(self, size: int | None = None, modified_at: datetime | None = None) -> Metadata:
        """Ask for size and modification time. Not every storage has them.

        Where both are known, ask whether the file is there.
        """
        if size is not None and modified_at is not None:
            self._check_exists()
        self._described = answers = self._asked(
            *(("size",) if size is None else ()),
            *(("get_modified_time",) if modified_at is None else ()),
        )
        size = answers.get("size", size)
        modified_at = answers.get("get_modified_time", modified_at)
        check_known(self.name, (size, None, modified_at, None))
        if modified_at is not None:
            seconds = seconds_of(modified_at)
            self.is_settled = isinstance(seconds, str) or has_settled(seconds)
        if size is None or modified_at is None:
            return Metadata(size, modified_at=modified_at)
        state = derived_validator(size, modified_at)
        return Metadata(size, modified_at=modified_at, validator=state)

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Open the file, read it from `start` to `stop`, close it."""
        context = self._context.copy()  # as no two may be in one at a time
        chunks = self._looked_at(start, stop)
        try:
            while chunk := context.run(next, chunks, b""):
                yield chunk
        finally:
            context.run(chunks.close)

    def _looked_at(self, start: int, stop: int | None) -> Generator[bytes, None, None]:
        self._check_whereabouts()
        questions: tuple[str, ...] = ("size", "get_modified_time")
        if self.is_verified and not self._described and self.expected_validator is None:
            questions = ()  # the caller knows all of the file, and the storage isn't to be asked
        opened = self._asked(*questions)
        if self.expected_validator not in (None, _state(opened)):
            raise unexpected(self.name)
        if any(opened.get(what, value) != value for what, value in self._described.items()):
            raise ContentChangedError(f"{self.name} was modified after it was described")
        is_watched = yield from self._opened(start, stop)
        try:
            closed = self._asked(*questions)
        except FileNotFoundError:
            closed = {}
        # Whether it only grew, its size doesn't tell: what is longer may have been written anew.
        only_grew = is_watched and closed.get("size", 0) > opened.get("size", 0)
        if closed != opened and not only_grew:
            raise ContentChangedError(f"{self.name} was modified while it was read")

    def _opened(self, start: int, stop: int | None) -> Generator[bytes, None, bool]:
        with self.storage.open(self.name, "rb") as file:
            return (yield from one_state(self.name, file, start, stop))

    def _check_whereabouts(self) -> None:
        if whereabouts(self.storage, self.name) != self._whereabouts:
            raise ContentChangedError(
                f"{self.name}: its storage looks elsewhere now than when the member was made; "
                "where it looks may depend on a context variable, but not on the thread"
            )

    def _check_exists(self) -> None:
        try:
            is_there = self.storage.exists(self.name)
        except NotImplementedError:
            is_there = True
            self._asked("size")
        if not is_there:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), self.name)

    def _asked(self, *questions: str) -> dict[str, Any]:
        """Return the storage's answers, without those to questions that it doesn't understand."""
        answers = {}
        for question in questions:
            with suppress(NotImplementedError):  # the time: Dropbox, FTP; the size: Django's docs
                answers[question] = getattr(self.storage, question)(self.name)
        return {question: answer for question, answer in answers.items() if answer is not None}


def _state(answers: dict[str, Any]) -> str | None:
    """Return the validator that a description with these answers has."""
    if len(answers) < 2:
        return None
    return derived_validator(answers["size"], answers["get_modified_time"])


class StreamReader(GenericReader):
    """Reads through `storage.open_stream()`."""

    bypasses: ClassVar[tuple[str, ...]] = ("open", "_open", "open_stream")

    def _opened(self, start: int, stop: int | None) -> Generator[bytes, None, bool]:
        length = None if stop is None else stop - start
        if length == 0:
            return False
        with self.storage.open_stream(self.name, start=start, length=length) as stream:
            return (yield from one_state(self.name, stream, 0, length, position=start))
