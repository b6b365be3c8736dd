"""Members ready to be saved, and the bytes of their archive: all of them, or a window."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import cached_property
from typing import Any, Final

from django_stream_zip import conf
from django_stream_zip.engine.accelerators import crc32
from django_stream_zip.engine.methods import STORE
from django_stream_zip.engine.streams import close, make_options, stream_with
from django_stream_zip.members.build import text
from django_stream_zip.members.readers.combine import combined
from django_stream_zip.members.ready import all_synchronous, is_async, ready
from django_stream_zip.planning.content import Description
from django_stream_zip.planning.plan import Plan
from django_stream_zip.prefetch.ambient import carried
from django_stream_zip.prefetch.batches import ordinary
from django_stream_zip.prefetch.source import Direct
from django_stream_zip.prefetch.threads import Prefetch


class StoppedError(Exception):
    """Whoever saves has been told to stop."""


class ZipSource:
    """An archive that is to be saved. Nothing is opened before its bytes are asked for."""

    def __init__(
        self,
        members: Any,
        *,
        password: str | None = None,
        compress: bool | None = None,
        extended_timestamps: bool = True,
        comment: str = "",
        adapted: Callable[[Any], Any] | None = None,
    ) -> None:
        """Describe and name the members, and plan their archive where all of it is known.

        `adapted` returns synchronous members for asynchronous ones.

        Raises:
            TypeError: The members are asynchronous, or none; and whatever else `ready` raises.
        """
        members = (adapted or _synchronous)(ready(members, compress))
        self.plan: Plan | None = None
        if isinstance(members, Sequence):
            self.plan = Plan.of(
                members,
                encrypted=password is not None,
                extended_timestamps=extended_timestamps,
                comment=text(comment),
            )
        self._members = members
        self._options = make_options(
            text(password), extended_timestamps=extended_timestamps, comment=text(comment)
        )
        #: How many members were begun, of an archive without a plan.
        self._begun = 0
        self._is_stopped = False

    @property
    def length(self) -> int | None:
        """Number of bytes, None if only writing it shows that."""
        return None if self.plan is None else self.plan.length

    @property
    def entity_tag(self) -> str | None:
        """The archive's entity tag: with one, any window of its bytes can be made."""
        return None if self.plan is None else self.plan.entity_tag

    @property
    def member_count(self) -> int:
        """How many members there are; without a plan, how many were written so far."""
        return self._begun if self.plan is None else len(self.plan.members)

    @cached_property
    def is_divisible(self) -> bool:
        """Whether windows can be made apart from each other, with no content read twice for it."""
        is_planned = self.plan is not None and self.plan.entity_tag is not None
        return is_planned and self.first_unknown is None

    @cached_property
    def first_unknown(self) -> str | None:
        """The name of the first member whose CRC-32 isn't declared."""
        members = self.plan.members if self.plan is not None else ()
        return next((name for name, _, _, method, _ in members if method.crc_32 is None), None)

    @cached_property
    def crc_32(self) -> int | None:
        """The CRC-32 of the whole, which follows from those that the members declare.

        It is None where one of them declares that of what its data inflates to.
        """
        assert self.plan is not None
        if any(method.coding is not STORE for _, _, _, method, _ in self.plan.members):
            return None
        crc_32 = 0
        for piece in self.plan.pieces():
            if isinstance(piece, bytes):
                crc_32 = crc32(piece, crc_32)
                continue
            method = self.plan.members[piece][3]
            crc_32 = combined(crc_32, method.crc_32 or 0, method.uncompressed_size or 0)
        return crc_32

    def stop(self) -> None:
        """Have all that iterate blocks, in any thread, raise StoppedError soon."""
        self._is_stopped = True

    def check_stopped(self) -> None:
        """Raise StoppedError if whoever saves has been told to stop."""
        if self._is_stopped:
            raise StoppedError("saving was stopped")

    def blocks(self, start: int = 0, stop: int | None = None) -> Generator[bytes, None, None]:
        """Yield the archive's bytes from `start` to `stop`; only with an entity tag a part of them.

        Raises what reading contents raises, ContentChangedError or ZipIntegrityError where one
        isn't as declared, and StoppedError.
        """
        with (
            closing(prefetching()) as source,
            closing(self._written(source, start, stop)) as blocks,
        ):
            for block in ordinary(blocks):
                self.check_stopped()
                yield block

    def window(self, start: int, stop: int) -> bytearray:
        """Return the bytes from `start` to `stop`."""
        data, position = bytearray(stop - start), 0
        with closing(self.blocks(start, stop)) as blocks:
            for block in blocks:
                data[position : position + len(block)] = block
                position += len(block)
        return data

    def _written(self, source: Any, start: int, stop: int | None) -> Generator[bytes, None, None]:
        plan = self.plan
        if plan is None or plan.entity_tag is None:
            members = source.members(self._counted())
            return stream_with(self._options, members, workers=conf.get("WORKERS"))
        stop = plan.length if stop is None else stop
        return plan.window(start, stop, checksums=_NOT_KEPT, source=source)

    def _counted(self) -> Iterator[Any]:
        members, self._begun = iter(self._members), 0
        try:
            for member in members:
                self._begun += 1
                yield member
        finally:
            close(members)


def prefetching() -> Any:
    """Return what contents are read through, which prefetches them if the settings say so."""
    number = conf.get("PREFETCH_MEMBERS")
    return Prefetch(number, conf.get("PREFETCH_BYTES"), carried) if number else Direct[Any]()


def _synchronous(members: Any) -> Any:
    """Return the members without what is for an event loop. Raises TypeError if that is all."""
    if isinstance(members, Sequence):
        members = all_synchronous(members)
    if is_async(members):
        raise TypeError("asynchronous members are saved by asave_zip, in an event loop")
    return members


def in_parts(
    blocks: Iterable[bytes], size_of: Callable[[int], int]
) -> Iterator[tuple[int, bytearray]]:
    """Yield the blocks' bytes in numbered parts of the sizes that `size_of` returns for numbers.

    There is one part at least, if an empty one. Its bytes are overwritten by those of the next.
    """
    number, data, filled = 1, bytearray(size_of(1)), 0
    for block in blocks:
        left = memoryview(block)
        while left:
            if filled == len(data):
                yield number, data
                number, filled = number + 1, 0
                if (size := size_of(number)) != len(data):
                    data = bytearray(size)
            length = min(len(left), len(data) - filled)
            data[filled : filled + length] = left[:length]
            filled, left = filled + length, left[length:]
    del data[filled:]
    yield number, data


class NotKept:
    """Keeps no CRC-32: who saves reads each content once, from its beginning."""

    def known(self, contents: Iterable[Description]) -> Mapping[str, int]:
        """Return none."""
        return {}

    def learn(self, content: Description, crc_32: int) -> None:
        """Forget it."""

    def key(self, content: Description) -> str:
        """Return the content's name in its state."""
        return f"{content.identity}\0{content.validator}"


_NOT_KEPT: Final = NotKept()
