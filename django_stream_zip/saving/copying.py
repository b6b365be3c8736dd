"""Archives of what the store has itself: it copies most of their bytes.

First all copies are made, then what lies between them is sent. So a CRC-32 that nobody knew is that
of the beginning, which is sent, and of the copied parts, where the store computes them: no position
in the archive depends on it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from threading import Lock
from typing import Any, Final, NamedTuple, TypeVar

from django_stream_zip.engine.accelerators import crc32
from django_stream_zip.engine.errors import CRC32IntegrityError
from django_stream_zip.engine.methods import Coding
from django_stream_zip.members.connections import borrowed_connections
from django_stream_zip.members.readers.combine import combined_parts
from django_stream_zip.planning.content import Description
from django_stream_zip.planning.plan import AnyMember, Plan
from django_stream_zip.prefetch.ambient import carried
from django_stream_zip.prefetch.batches import ordinary
from django_stream_zip.saving.archive import NotKept, StoppedError, ZipSource, in_parts, prefetching
from django_stream_zip.saving.layout import Copied, Copyable, Part, Sent, layout
from django_stream_zip.saving.writers.copy_source import CopyRefusedError, CopySource
from django_stream_zip.saving.writers.writer import Limits, PartWriter, Upload

T = TypeVar("T")

# The store takes its time for each copy, and there is nothing to do but to wait.
_AT_ONCE: Final = 8


class NotCopiedError(Exception):
    """The store doesn't copy some members as they have to be: they have to be sent."""

    def __init__(self, members: Collection[int]) -> None:
        super().__init__(f"{len(members):,} members have to be sent")
        self.members = members


class Copies(NamedTuple):
    """How an archive is made: its plan, its parts, and by number what members are copied from.

    Of the `unknown` ones the CRC-32 is to be learned; the plan declares any.
    """

    plan: Plan
    parts: Sequence[Part]
    sources: Mapping[int, CopySource]
    unknown: frozenset[int]

    @property
    def sizes(self) -> list[int]:
        """The sizes of all parts."""
        return [part.stop - part.start for part in self.parts]

    @property
    def bytes_sent(self) -> int:
        """How many bytes of the archive aren't copied."""
        return sum(part.stop - part.start for part in self.parts if isinstance(part, Sent))


def copy_sources(archive: ZipSource, writer: PartWriter) -> dict[int, CopySource]:
    """Return by number what members can be copied from, as far as is known without asking."""
    plan, least = archive.plan, writer.limits.minimum
    if plan is None or archive.entity_tag is None:
        return {}
    return {
        number: source
        for number, (_, _, _, method, content) in enumerate(plan.members)
        if method.coding is Coding.STORE
        and (method.uncompressed_size or 0) >= least
        and (source := writer.copy_source(content)) is not None
    }


def planned(archive: Plan, sources: Mapping[int, CopySource], limits: Limits) -> Copies | None:
    """Lay a planned archive out, and ask for what is to be copied. Returns None if nothing is.

    Raises:
        ContentChangedError: A content isn't what its member was made for.
    """
    members = archive.members
    while sources:
        unknown = frozenset(number for number in sources if members[number][3].crc_32 is None)
        plan = archive.replanned(
            [_declaring(member) if n in unknown else member for n, member in enumerate(members)]
        )
        assert plan is not None  # as all sizes are known
        spans = [
            Copyable(number, span.data, span.data_stop)
            for number, span in enumerate(plan.spans())
            if number in sources
        ]
        parts = layout(spans, plan.length, limits)
        chosen = {part.member for part in parts if isinstance(part, Copied)}
        left = _checked({number: sources[number] for number in sorted(chosen)}, plan)
        # What is sent without its CRC-32 being known is written in another way, and longer.
        if left and len(left) == len(chosen) and unknown <= chosen:
            return Copies(plan, parts, left, unknown)
        sources = left
    return None


def _declaring(member: AnyMember) -> Any:
    """Return a member that declares some CRC-32: it is learned before it is written."""
    name, modified_at, mode, method, content = member
    return name, modified_at, mode, method._replace(crc_32=0), content


def _checked(sources: Mapping[int, CopySource], plan: Plan) -> dict[int, CopySource]:
    """Ask for all of them, and return those that can be copied."""
    refused: set[int] = set()

    def ask(number: int) -> None:
        if not sources[number].is_copyable(plan.members[number][3].uncompressed_size or 0):
            refused.add(number)

    _at_once(ask, sources)
    return {number: source for number, source in sources.items() if number not in refused}


def _at_once(
    function: Callable[[T], object],
    items: Iterable[T],
    number: int = _AT_ONCE,
    stop: Callable[[], object] | None = None,
) -> None:
    """Call a function with all items, so many at a time. After an error: `stop`, and no more."""

    def call(item: T) -> None:
        with borrowed_connections():
            function(item)

    with ThreadPoolExecutor(number, thread_name_prefix="zip_copy") as pool:
        futures = [pool.submit(carried(), call, item) for item in items]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            if stop is not None:
                stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


class CopyingArchive:
    """An archive while its parts are made."""

    def __init__(
        self,
        copies: Copies,
        upload: Upload,
        progress: Callable[[int], object] = int,
        workers: int = 1,
    ) -> None:
        """Make nothing yet.

        Args:
            copies: How the archive is made.
            upload: Where to.
            progress: Called with the size of each part that was made, from any thread, but by one
                at a time.
            workers: How many threads send.
        """
        self._copies = copies
        self._upload = upload
        self._progress = progress
        self._workers = workers
        self._lock = Lock()
        self._is_stopped = False
        self._checksums = _Learned()
        self._crc_32s: dict[int, int] = {}
        self._numbers: dict[int, list[int]] = defaultdict(list)  # of a member's copied parts
        for number, part in enumerate(copies.parts, 1):
            if isinstance(part, Copied):
                self._numbers[part.member].append(number)

    def make(self) -> None:
        """Have all parts made.

        Raises:
            ContentChangedError: A content isn't what its member was made for.
            CRC32IntegrityError: A copied member has another CRC-32 than was declared.
            NotCopiedError: The store doesn't copy, or computes no CRC-32.
        """
        try:
            self._copy_all()
        except CopyRefusedError as error:
            sources = self._copies.sources.items()
            refused = {number for number, source in sources if source.place == error.place}
            raise NotCopiedError(refused) from error
        *before, (sent, _) = _runs(self._copies.parts)
        _at_once(self._send_before, before, self._workers, self._stop)
        # The directory needs all CRC-32s.
        plan = self._copies.plan.declaring(self._crc_32s)
        with closing(prefetching()) as source:
            self._send(sent, plan, source)

    def _stop(self) -> None:
        """Have all threads end soon."""
        self._is_stopped = True

    def _count(self, length: int) -> None:
        """Report what was made. Raises StoppedError if there was an error elsewhere."""
        with self._lock:
            if self._is_stopped:
                raise StoppedError("saving was stopped")
            self._progress(length)

    def _copy_all(self) -> None:
        """Have the store copy; first what shows whether it computes CRC-32s."""
        numbers = sorted(self._numbers, key=lambda member: member not in self._copies.unknown)
        first, *others = (number for member in numbers for number in self._numbers[member])
        self._copy(first)
        _at_once(self._copy, others, stop=self._stop)

    def _copy(self, number: int) -> None:
        """Have one part copied."""
        part = self._copies.parts[number - 1]
        assert isinstance(part, Copied)
        source = self._copies.sources[part.member]
        source.copy_part(self._upload, number, part.start, part.stop)
        is_known = self._upload.written[number].crc_32 is not None
        if not is_known and part.member in self._copies.unknown:
            raise NotCopiedError(self._copies.unknown)
        self._count(part.stop - part.start)

    def _send_before(self, run: tuple[Mapping[int, Sent], Copied]) -> None:
        """Send what comes before a copy, and the beginning of what is copied."""
        sent, copied = run
        with closing(prefetching()) as source:
            held = self._beginning(copied, source)
            learned = self._crc_32s.get(copied.member)
            known = {} if learned is None else {copied.member: learned}
            self._send(sent, self._copies.plan.declaring(known), held)

    def _send(self, sent: Mapping[int, Sent], plan: Plan, source: Any) -> None:
        """Send parts that follow each other."""
        sizes = [part.stop - part.start for part in sent.values()]
        start = next(iter(sent.values())).start
        blocks = plan.window(start, start + sum(sizes), checksums=self._checksums, source=source)
        with closing(blocks):
            parts = in_parts(ordinary(blocks), lambda number: sizes[number - 1])
            for number, (_, data) in zip(sent, parts, strict=True):
                self._upload.write_part(number, data, crc32(data))
                self._count(len(data))

    def _beginning(self, copied: Copied, source: Any) -> _Held:
        """Read what is sent of a member; learn its CRC-32, or compare it with what is declared."""
        name, _, _, method, content = self._copies.plan.members[copied.member]
        held = _Held(source, content, copied.start)
        parts = [self._upload.written[number] for number in self._numbers[copied.member]]
        known = [(part.crc_32, part.size) for part in parts if part.crc_32 is not None]
        if len(known) < len(parts):
            return held
        crc_32 = combined_parts([(crc32(held.data), len(held.data)), *known])
        if copied.member in self._copies.unknown:
            self._crc_32s[copied.member] = crc_32
        elif crc_32 != method.crc_32:
            raise CRC32IntegrityError(
                f"member {name!r}: its content has the CRC-32 {crc_32}, and not {method.crc_32} as "
                "was declared"
            )
        return held


class _Held:
    """A source of contents, of which the beginning of one is in memory."""

    def __init__(self, source: Any, content: Any, length: int) -> None:
        self.data = b"".join(content.chunks(0, length)) if length else b""
        self.expect = source.expect
        self.skip = source.skip
        self._source = source
        self._content = content

    def chunks(self, content: Any, start: int, stop: int | None) -> Any:
        """Return a content's chunks."""
        if content is self._content and stop is not None and stop <= len(self.data):
            return iter((self.data[start:stop],))
        return self._source.chunks(content, start, stop)


class _Learned(NotKept):
    """Keeps the CRC-32s of the contents that were sent: the directory comes in a later window."""

    def __init__(self) -> None:
        self._crc_32s: dict[str, int] = {}

    def known(self, contents: Iterable[Description]) -> Mapping[str, int]:
        """Return all."""
        return self._crc_32s

    def learn(self, content: Description, crc_32: int) -> None:
        """Keep one."""
        self._crc_32s[self.key(content)] = crc_32


def _runs(parts: Sequence[Part]) -> Iterator[tuple[dict[int, Sent], Any]]:
    """Yield by number the parts that are sent one after the other, and what is copied next.

    Behind the last ones nothing is.
    """
    sent: dict[int, Sent] = {}
    for number, part in enumerate(parts, 1):
        if isinstance(part, Sent):
            sent[number] = part
        elif sent:
            yield sent, part
            sent = {}
    yield sent, None
