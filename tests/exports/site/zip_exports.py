"""The recipe of the site: all files of a folder, read slowly."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from django_stream_zip import NO_COMPRESSION_AUTO
from django_stream_zip.exports import zip_export
from django_stream_zip.planning.content import ContentChangedError

SECONDS_A_CHUNK = 0.002


class SlowFile:
    """A file that is what the folder's index says."""

    is_remote = False

    def __init__(self, path: Path, crc_32: int | None) -> None:
        self.path = path
        self.identity = str(path)
        self.crc_32 = crc_32
        self.size = path.stat().st_size
        self.validator = self._state()

    def _state(self) -> str:
        return str(self.path.stat().st_mtime_ns)

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        if self._state() != self.validator:
            raise ContentChangedError(f"{self.path} was replaced")
        with self.path.open("rb") as file:
            file.seek(start)
            left = (self.size if stop is None else stop) - start
            while left > 0 and (chunk := file.read(min(left, 32 << 10))):
                time.sleep(SECONDS_A_CHUNK)
                left -= len(chunk)
                yield chunk

    def __iter__(self) -> Iterator[bytes]:
        return self.chunks()


@zip_export("folder", allowed=lambda user, **arguments: user.is_active)
def folder(*, is_known: bool = True) -> list[Any]:
    """Give all files; with `is_known`, their CRC-32s are declared."""
    index = json.loads((settings.FOLDER / "files" / "index.json").read_text())
    members = []
    for name, crc_32 in index.items():
        content = SlowFile(settings.FOLDER / "files" / name, crc_32 if is_known else None)
        at = datetime.fromtimestamp(content.path.stat().st_mtime, UTC)
        method = NO_COMPRESSION_AUTO(content.size, content.crc_32)
        members.append((name, at, stat.S_IFREG | 0o644, method, content))
    return members
