"""A process that saves an archive in a storage, to be killed: see `tests.support.kills`."""

from __future__ import annotations

import json
import os
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import django
from django.utils.module_loading import import_string

MIB = 1 << 20


class SlowContent:
    """Bytes that come a little later than they are asked for."""

    def __init__(self, name: str, size: int, seconds: float) -> None:
        self.size = size
        self.identity = name
        self.validator = "1"
        self.crc_32 = _zeros(size)
        self._seconds = seconds

    def chunks(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        end = self.size if stop is None else stop
        for first in range(start, end, 65536):
            if self._seconds:
                time.sleep(self._seconds)
            yield bytes(min(65536, end - first))

    def __iter__(self) -> Iterator[bytes]:
        return self.chunks()


def _zeros(size: int) -> int:
    """Compute the CRC-32 of so many zeros; there may be many."""
    crc_32, block = 0, bytes(min(size, 1 << 20) or 1)
    for _ in range(size // len(block)):
        crc_32 = zlib.crc32(block, crc_32)
    return zlib.crc32(bytes(size % len(block)), crc_32)


def members(size: int, seconds: float = 0) -> list[Any]:
    from django_stream_zip import NO_COMPRESSION_AUTO
    from tests.support.contents import MODE, TIME

    contents = [SlowContent(f"{number}.bin", size // 2, seconds) for number in range(2)]
    return [
        (content.identity, TIME, MODE, NO_COMPRESSION_AUTO(content.size, content.crc_32), content)
        for content in contents
    ]


def main() -> None:
    order = json.loads(sys.argv[1])
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    from django_stream_zip.saving import save_zip

    storage = import_string(order["storage"])(**order["options"])
    token = Path(order["token"])
    save_zip(
        storage,
        order["name"],
        members(order["size"], order["seconds"]),
        overwrite=True,
        workers=order["workers"],
        part_size=order["part_size"],
        begun=token.write_text if order["workers"] > 1 else None,
        resume=token.read_text() if token.exists() else None,
    )


if __name__ == "__main__":
    main()
