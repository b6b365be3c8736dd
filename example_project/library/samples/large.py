"""A large file among the samples: its download shows progress and can be resumed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from random import Random
from stat import S_IFREG
from typing import BinaryIO

from django_stream_zip import NO_COMPRESSION_AUTO, stream_zip

MIB = 1 << 20


@contextmanager
def opened(mebibytes: int) -> Iterator[BinaryIO]:
    """Open a ZIP of so much noise: the same noise each time, of a type that isn't deflated."""
    noise = Random("hydrophone")
    parts = (noise.randbytes(MIB) for _ in range(mebibytes))
    method = NO_COMPRESSION_AUTO(mebibytes * MIB)
    member = ("hydrophone.raw", datetime(2025, 6, 5), S_IFREG | 0o644, method, parts)
    with tempfile.TemporaryFile() as file:
        file.writelines(stream_zip([member]))
        file.seek(0)
        yield file
