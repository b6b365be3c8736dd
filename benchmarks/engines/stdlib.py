"""The standard library's zipfile, writing to something that can't seek."""

from __future__ import annotations

from collections.abc import Iterable
from io import RawIOBase
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from benchmarks.engines.engine import MODE, MODIFIED_AT, How
from benchmarks.files import File


class Zipfile:
    """`ZipFile`."""

    def missing(self) -> str | None:
        return None

    def members(self, files: Iterable[File], how: How) -> Iterable[Any]:
        for file in files:
            info = ZipInfo(file.name, MODIFIED_AT.timetuple()[:6])
            info.compress_type = ZIP_DEFLATED if how.compress else ZIP_STORED
            # Private until Python 3.13 made it public; `writestr` has an argument for it.
            info._compresslevel = how.level  # type: ignore[attr-defined]
            info.external_attr = MODE << 16
            info.file_size = file.size
            yield info, file.chunks

    def write(self, members: Iterable[Any], how: How) -> int:
        nowhere = _Nowhere()
        with ZipFile(nowhere, "w") as archive:
            for info, chunks in members:
                with archive.open(info, "w") as member:
                    for chunk in chunks:
                        member.write(chunk)
        return nowhere.length


class _Nowhere(RawIOBase):
    def __init__(self) -> None:
        self.length = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.length += len(data)
        return len(data)
