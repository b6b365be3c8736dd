"""The workload of knowing an archive's length before its first byte."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks import memory
from benchmarks.engines.engine import MODE, MODIFIED_AT
from benchmarks.package import named
from benchmarks.streaming import Streaming, timed
from benchmarks.workload import Figures

MEMBERS = 100_000
_SIZE = 100_000


class _Content:
    """A content that nobody will read."""

    size = _SIZE
    crc_32 = None

    def __init__(self, number: int) -> None:
        self.identity = self.validator = f"content {number}"

    def __iter__(self) -> Iterator[bytes]:
        return iter(())


@dataclass(frozen=True)
class Planning(Streaming):
    """Stored members of which size and validator are known, and what planning them takes."""

    def run(self, name: str, samples: object) -> Figures:
        plan = {"ours": _ours, "zipstream-ng": _zipstream_ng}[name]()
        before = memory.start_peak()
        figures, made = timed(plan)
        figures["members"] = MEMBERS
        if (rise := memory.rise(before)) is not None:
            figures["memory_rise"] = rise
        del made
        return figures | {"traced": memory.traced(plan) / MEMBERS}


def _ours() -> Callable[[], object]:
    from django_stream_zip import NO_COMPRESSION_AUTO

    Plan = named("django_stream_zip.planning.plan.Plan")
    members: list[Any] = [
        (f"folder/{n:06}.jpg", MODIFIED_AT, MODE, NO_COMPRESSION_AUTO(_SIZE), _Content(n))
        for n in range(MEMBERS)
    ]
    return lambda: Plan.of(members)


def _zipstream_ng() -> Callable[[], object]:
    from zipstream import ZipStream

    def plan() -> object:
        archive = ZipStream(sized=True)
        for number in range(MEMBERS):
            archive.add(_Content(number), f"folder/{number:06}.jpg", size=_SIZE)
        return archive, len(archive)

    return plan
