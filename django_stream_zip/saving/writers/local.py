"""Files of this machine: a temporary file beside the target, synchronised and renamed."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from django.core.exceptions import SuspiciousFileOperation

from django_stream_zip.saving.errors import NameRefusedError
from django_stream_zip.saving.writers.temporary import Folder, Found, TemporaryWriter
from django_stream_zip.saving.writers.writer import Data

# What file systems say that have no links: FAT, some that are shared.
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})


class FileWriter(TemporaryWriter):
    """Writes into a FileSystemStorage."""

    def __init__(self, storage: Any, name: str, *, overwrite: bool = False) -> None:
        super().__init__(storage, name, overwrite=overwrite)
        try:
            self._path = Path(storage.path(self.name))
        except SuspiciousFileOperation as error:
            raise NameRefusedError(str(error)) from error

    def check(self) -> None:
        """Raise NameTakenError, or NameRefusedError where no file can have this name."""
        super().check()
        try:
            found = os.lstat(self._path)
        except FileNotFoundError:
            return
        except UnicodeEncodeError as error:
            raise NameRefusedError(f"{self.name!r} can't be a file's name: {error}") from error
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            raise NameRefusedError(f"{self.name!r} is too long for a file's name") from error
        if stat.S_ISDIR(found.st_mode):
            raise NameRefusedError(f"{self.name!r} is a directory: choose another name")

    def exists(self) -> bool:
        """Look whether there is anything of that name, a broken link included."""
        return os.path.lexists(self._path)

    def _folder(self) -> LocalFolder:
        return LocalFolder(self.storage, self._path.parent)


class LocalFolder(Folder):
    """A folder of this machine, with the permissions that a FileSystemStorage has things have."""

    def __init__(self, storage: Any, path: Path) -> None:
        self._storage = storage
        self._path = path

    def create(self, name: str) -> None:
        """Create an empty file, and its folder if need be."""
        _make_folders(self._path, self._storage.directory_permissions_mode)
        os.close(os.open(self._path / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))

    def write(self, name: str, position: int, data: Data) -> None:
        """Write to a file."""
        # Unbuffered, but for that it writes less than it is told where a disk is nearly full.
        with (self._path / name).open("r+b", buffering=0) as file:
            file.seek(position)
            left = memoryview(data)
            while left:
                left = left[file.write(left) :]

    def sync(self, name: str) -> None:
        """Have the file's bytes written to the disk."""
        with _opened(self._path / name, os.O_RDWR) as file:
            os.fsync(file)

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        return (self._path / name).read_bytes()

    def look(self, name: str) -> Found:
        """Look at a file. Its inode stays when it is renamed."""
        status = os.lstat(self._path / name)
        return Found(status.st_size, status.st_mtime, f"{status.st_dev:x}-{status.st_ino:x}")

    def replace(self, name: str, target: str) -> None:
        """Rename a file to one that may be there."""
        self._finish(name)
        os.replace(self._path / name, self._path / target)
        self._sync_folder()

    def rename(self, name: str, target: str) -> None:
        """Rename a file unless there is one of that name: at once, by a link."""
        self._finish(name)
        try:
            os.link(self._path / name, self._path / target, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # Between the two, somebody may create one.
            if os.path.lexists(self._path / target):
                raise FileExistsError(errno.EEXIST, "It is there", target) from error
            os.replace(self._path / name, self._path / target)
        else:
            os.unlink(self._path / name)
        self._sync_folder()

    def remove(self, name: str) -> None:
        """Remove a file."""
        os.unlink(self._path / name)

    def names(self) -> Iterator[str]:
        """Yield the names of all files."""
        yield from os.listdir(self._path)

    def _finish(self, name: str) -> None:
        """Do what FileSystemStorage does to a file that it has saved."""
        path = self._path / name
        if (mode := self._storage.file_permissions_mode) is not None:
            path.chmod(mode)
        self._storage._ensure_location_group_id(str(path))

    def _sync_folder(self) -> None:
        with suppress(OSError), _opened(self._path, os.O_RDONLY) as folder:  # not on Windows
            os.fsync(folder)


def _make_folders(path: Path, mode: int | None) -> None:
    """Make the folders that are missing, each with that mode whatever the umask is."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        if mode is not None:
            folder.chmod(mode)


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    file = os.open(path, flags)
    try:
        yield file
    finally:
        os.close(file)
