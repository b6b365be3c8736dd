"""zipstream-ng. It stores what it isn't told to deflate, and computes each CRC-32 itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED

from benchmarks.engines.engine import How, needs
from benchmarks.files import File


class ZipstreamNg:
    """`ZipStream`: all members are queued first, the faster way, or each is written at once."""

    def missing(self) -> str | None:
        return needs("zipstream", "zipstream-ng")

    def members(self, files: Iterable[File], how: How) -> Iterable[Any]:
        for file in files:
            # Small files as bytes, which is what it is fastest with.
            chunks = file.chunks
            yield file.name, file.size, b"".join(chunks) if isinstance(chunks, tuple) else chunks

    def write(self, members: Iterable[Any], how: How) -> int:
        from zipstream import ZipStream

        archive = ZipStream(
            compress_type=ZIP_DEFLATED if how.compress else ZIP_STORED, compress_level=how.level
        )
        length = 0
        for name, size, data in members:
            archive.add(data, name, size=size)
            if not how.queues:
                length += sum(map(len, archive.all_files()))
        return length + sum(map(len, archive))
