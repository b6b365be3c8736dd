"""Files of this machine, gzipped where that makes them smaller."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterator
from copy import copy
from itertools import chain
from typing import Any, Final

from django.core.files.base import File
from django.core.files.storage import FileSystemStorage

from django_stream_zip.storages.gzip_format import MODULUS, deflate_stream_in, gzipped

_SUFFIX: Final = ".gz"
_READING: Final = frozenset({"r", "rb", "rt"})
_CHUNK_LENGTH: Final = 256 << 10


class GzippedFileSystemStorage(FileSystemStorage):
    """A FileSystemStorage that gzips what it saves, if the first chunk gets a tenth smaller.

    The file `logs/a.txt` is then kept as `logs/a.txt.gz`, and found under its own name, as is one
    that was gzipped by others. Name, size and content are those of `logs/a.txt`; `path()` is where
    its bytes are. Where there are both, the one that isn't gzipped is the file.

    What is itself called `a.txt.gz` is gzipped in any case: it must not be taken for `a.txt`.
    """

    def path(self, name: str) -> str:
        """Return where a file is kept; with `.gz` if it is kept so."""
        path, gzipped_path = super().path(name), super().path(f"{name}{_SUFFIX}")
        if os.path.lexists(path) and not (_is_gz(name) and os.path.isfile(gzipped_path)):
            return path
        return gzipped_path if os.path.isfile(gzipped_path) else path

    def is_gzipped(self, name: str) -> bool:
        """Return whether a file is kept gzipped."""
        return self.path(name) != super().path(name)

    def size(self, name: str) -> int:
        """Return the number of bytes that `open()` reads, as a gzip file's trailer tells it.

        It isn't that of several gzip members of which the last one is the largest.
        """
        if not self.is_gzipped(name):
            return super().size(name)
        with open(self.path(name), "rb") as file:
            stream = deflate_stream_in(file)
            if stream is not None and stream.is_likely():
                return stream.remainder
            file.seek(0)
            with gzip.open(file) as opened:
                return sum(map(len, iter(lambda: opened.read(_CHUNK_LENGTH), b"")))

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """Return the names of directories and of files: those to open files by."""
        directories, files = super().listdir(path)
        names = dict.fromkeys(name.removesuffix(_SUFFIX) or name for name in files)
        return directories, list(names)

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        file: File[Any]
        if not self.is_gzipped(name):
            file = super()._open(name, mode)  # type: ignore[misc] # not in the stubs
            return file
        if mode not in _READING:
            raise ValueError(
                f"{name} is kept gzipped and can't be opened as {mode!r}: save it anew instead"
            )
        opened: Any = gzip.open(self.path(name), "rt" if mode == "r" else mode)  # noqa: SIM115
        file = File(opened)
        file.size = self.size(name)
        return file

    def _save(self, name: str, content: Any) -> str:
        chunks = iter(content.chunks())
        first = next(chunks, b"")
        is_small = (getattr(content, "size", None) or MODULUS) < MODULUS  # and will be known
        if is_small and (_is_gz(name) or _is_compressible(first)):
            content = _Chunks(gzipped(chain([first], chunks)))
            saved = self._write(f"{name}{_SUFFIX}", content).removesuffix(_SUFFIX)
            if not _is_gz(name):  # else it is another file's
                self._overwrite(super().path(name))
            return saved
        self._overwrite(super().path(f"{name}{_SUFFIX}"))
        if not hasattr(content, "temporary_file_path"):  # such a file is moved
            content = _Chunks(chain([first], chunks))
        return self._write(name, content)

    def _write(self, name: str, content: Any) -> str:
        """Save a file on the disk by that very name."""
        as_named = copy(self)
        as_named.path = super().path  # type: ignore[method-assign]
        saved: str = super(GzippedFileSystemStorage, as_named)._save(name, content)  # type: ignore[misc] # not in the stubs
        return saved

    def _overwrite(self, path: str) -> None:
        """Remove the other form of a file that is overwritten."""
        if self._allow_overwrite and os.path.isfile(path):  # type: ignore[attr-defined] # likewise
            os.remove(path)


def _is_gz(name: str) -> bool:
    return name.endswith(_SUFFIX)


class _Chunks:
    """A content that is asked for its chunks only, and once."""

    def __init__(self, chunks: Iterator[Any]) -> None:
        self._chunks = chunks

    def chunks(self) -> Iterator[Any]:
        return self._chunks


def _is_compressible(chunk: Any) -> bool:
    """Return whether gzip makes a chunk smaller by a tenth. Text is encoded elsewhere."""
    if not isinstance(chunk, bytes):
        return False
    return sum(map(len, gzipped([chunk]))) * 10 <= len(chunk) * 9
