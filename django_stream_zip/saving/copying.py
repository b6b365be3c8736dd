"""Archives of objects that the store copies by itself: their bytes don't pass through this process.

First all copies are made, then what lies between them is sent. So a CRC-32 that nobody knew is that
of the copied parts, where the store computes them, and of the beginning that is sent: no position
in the archive depends on it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, Final, NamedTuple, Protocol

from django_stream_zip.engine.accelerators import crc32
from django_stream_zip.engine.errors import CRC32IntegrityError
from django_stream_zip.engine.methods import Coding
from django_stream_zip.members.readers.combine import combined_parts
from django_stream_zip.planning.checksums import Checksums
from django_stream_zip.planning.plan import AnyMember, Plan
from django_stream_zip.prefetch.source import Direct
from django_stream_zip.saving.layout import Copied, Copyable, Limits, Part, Sent, layout

# The store takes its time for each copy, and there is nothing to do but to wait.
_AT_ONCE: Final = 8


class NotCopiedError(Exception):
    """The store copies nothing from some place: what is there has to be sent."""

    def __init__(self, place: str) -> None:
        super().__init__(f"the store copies nothing from {place}")
        self.place = place


class _NoChecksumError(Exception):
    """The store computes no CRC-32 of what it copies."""


class CopySource(Protocol):
    """A content that the store of an upload has itself. Any thread may use it."""

    #: What is allowed for one of its contents is allowed for all.
    place: str

    def is_copyable(self, size: int) -> bool:
        """Ask what it is, unless somebody has. Returns whether its bytes can be copied.

        Raises ContentChangedError where it isn't what its member was made for.
        """

    def copy_part(self, upload: Any, number: int, start: int, stop: int) -> None:
        """Have a range of it become a part of an upload.

        Raises ContentChangedError where it was replaced, and NotCopiedError.
        """


class Copies(NamedTuple):
    """How an archive is made: its plan, its parts, and by number what members are copied from.

    Of the `unknown` ones the CRC-32 is to be learned; the plan declares any.
    """

    plan: Plan
    parts: list[Part]
    sources: Mapping[int, CopySource]
    unknown: frozenset[int]

    @property
    def bytes_sent(self) -> int:
        """How many bytes of the archive aren't copied."""
        return sum(part.stop - part.start for part in self.parts if isinstance(part, Sent))


def copyable(
    members: Sequence[AnyMember], source_of: Callable[[Any], CopySource | None], limits: Limits
) -> dict[int, CopySource]:
    """Return by number what members can be copied from, as far as is known without asking."""
    if not all(hasattr(content, "chunks") for *_, content in members):
        return {}  # what can be read only once has no place in a window
    return {
        number: source
        for number, (_, _, _, method, content) in enumerate(members)
        if method.coding is Coding.STORE
        and (method.uncompressed_size or 0) >= limits.minimum
        and (source := source_of(content)) is not None
    }


def planned(
    members: Sequence[AnyMember], sources: Mapping[int, CopySource], limits: Limits
) -> Copies | None:
    """Lay an archive out; ask what is to be copied. Returns None if nothing is, or all is unknown.

    Raises ContentChangedError where a content isn't what its member was made for.
    """
    while sources:
        unknown = frozenset(number for number in sources if members[number][3].crc_32 is None)
        plan = Plan.of(
            [_declaring(m) if n in unknown else m for n, m in enumerate(members)]  # any CRC-32
        )
        if plan is None:
            return None
        spans = [
            Copyable(number, span.data, span.data_stop)
            for number, span in enumerate(plan.spans())
            if number in sources
        ]
        parts = layout(spans, plan.length, limits)
        chosen = {part.member for part in parts if isinstance(part, Copied)}
        left = _checked({number: sources[number] for number in chosen}, plan)
        # What is sent with an unknown CRC-32 is written in another way, and all positions change.
        if len(left) == len(chosen) and unknown <= chosen:
            return Copies(plan, parts, left, unknown)
        sources = left
    return None


def _declaring(member: AnyMember) -> AnyMember:
    name, modified_at, mode, method, content = member
    return name, modified_at, mode, method._replace(crc_32=0), content  # type: ignore[return-value]


def _checked(sources: Mapping[int, CopySource], plan: Plan) -> dict[int, CopySource]:
    """Return those that can be copied, all of them having been asked for."""

    def is_copyable(number: int) -> bool:
        return sources[number].is_copyable(plan.members[number][3].uncompressed_size or 0)

    with ThreadPoolExecutor(_AT_ONCE) as pool, closing(pool.map(is_copyable, sources)) as answers:
        return {
            number: sources[number] for number, is_ in zip(sources, answers, strict=True) if is_
        }


def make(
    copies: Copies,
    upload: Any,
    checksums: Checksums,
    begun: Callable[[str], object] = str,
    progress: Callable[[int], object] = int,
) -> None:
    """Have all parts of an upload made.

    Args:
        copies: How.
        upload: Where to.
        checksums: Remembers the CRC-32s of what is sent.
        begun: Called with the name of each member that is sent.
        progress: Called with the number of bytes of each part that was made.

    Raises:
        ContentChangedError: A content was replaced.
        CRC32IntegrityError: A copied member has another CRC-32 than was declared.
        NotCopiedError: The store copies nothing from some place.
    """
    making = _Making(copies, upload, checksums, begun, progress)
    making.copy()
    making.send()


class _Making:
    """One archive while it is made."""

    def __init__(
        self,
        copies: Copies,
        upload: Any,
        checksums: Checksums,
        begun: Callable[[str], object],
        progress: Callable[[int], object],
    ) -> None:
        self._copies = copies
        self._upload = upload
        self._checksums = checksums
        self._begun = begun
        self._progress = progress
        self._learned: dict[int, int] = {}
        self._numbers: dict[int, list[int]] = defaultdict(list)  # of a member's copied parts

    def copy(self) -> None:
        """Have the store copy; first what says whether it computes CRC-32s."""
        jobs = [
            (number, part)
            for number, part in enumerate(self._copies.parts, 1)
            if isinstance(part, Copied)
        ]
        for number, part in jobs:
            self._numbers[part.member].append(number)
        jobs.sort(key=lambda job: job[1].member not in self._copies.unknown)
        self._copy(jobs[0])
        with (
            ThreadPoolExecutor(_AT_ONCE) as pool,
            closing(pool.map(self._copy, jobs[1:])) as copied,
        ):
            for _ in copied:
                pass

    def _copy(self, job: tuple[int, Copied]) -> None:
        number, (member, start, stop) = job
        self._copies.sources[member].copy_part(self._upload, number, start, stop)
        if member in self._copies.unknown and self._upload.written[number].crc_32 is None:
            raise _NoChecksumError
        self._progress(stop - start)

    def send(self) -> None:
        """Send what lies between the copies, and at last the directory."""
        for sent, following in _runs(self._copies.parts):
            source = Direct[Any]() if following is None else self._beginning(following)
            blocks = self._copies.plan.declaring(self._learned).window(
                sent[0][1].start,
                sent[-1][1].stop,
                checksums=self._checksums,
                begun=self._begun,
                source=source,
            )
            sizes = [part.stop - part.start for _, part in sent]
            with closing(blocks):
                for (number, _), data in zip(sent, _cut(blocks, sizes), strict=True):
                    self._upload.write_part(number, data)
                    self._progress(len(data))

    def _beginning(self, copied: Copied) -> _Held:
        """Read what is sent of a member, and learn or compare its CRC-32."""
        name, _, _, method, content = self._copies.plan.members[copied.member]
        held = _Held(content, copied.start)
        parts = [self._upload.written[number] for number in self._numbers[copied.member]]
        if all(part.crc_32 is not None for part in parts):
            beginning = crc32(held.data), len(held.data)
            crc_32 = combined_parts([beginning, *((part.crc_32, part.size) for part in parts)])
            if copied.member in self._copies.unknown:
                self._learned[copied.member] = crc_32
            elif crc_32 != method.crc_32:
                raise CRC32IntegrityError(
                    f"member {name!r}: its content has CRC-32 {crc_32:08x}, and not "
                    f"{method.crc_32:08x} as was declared"
                )
        return held


class _Held(Direct[Any]):
    """Reads contents, but the beginning of one from memory."""

    def __init__(self, content: Any, length: int) -> None:
        self.data = b"".join(content.chunks(0, length)) if length else b""
        self._content = content

    def chunks(self, content: Any, start: int, stop: int | None) -> Any:
        """Return a content's chunks."""
        if content is self._content and stop is not None and stop <= len(self.data):
            return iter((self.data[start:stop],))
        return super().chunks(content, start, stop)


def _runs(parts: Sequence[Part]) -> Iterator[tuple[list[tuple[int, Sent]], Copied | None]]:
    """Yield the parts that are sent one after the other, and what is copied next."""
    sent: list[tuple[int, Sent]] = []
    for number, part in enumerate(parts, 1):
        if isinstance(part, Sent):
            sent.append((number, part))
        elif sent:
            yield sent, part
            sent = []
    yield sent, None


def _cut(blocks: Iterable[bytes], sizes: Sequence[int]) -> Iterator[bytearray]:
    """Yield blocks as pieces of these sizes; the last one only when the blocks have ended."""
    rest, iterator = bytearray(), iter(blocks)
    for number, size in enumerate(sizes, 1):
        is_last = number == len(sizes)
        while (is_last or len(rest) < size) and (block := next(iterator, None)) is not None:
            rest += block
        piece, rest = rest, rest[size:]
        del piece[size:]
        yield piece
