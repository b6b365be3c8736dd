"""SFTP: a temporary file beside the target, renamed; each request on a channel of its own."""

from __future__ import annotations

import errno
import posixpath
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from paramiko import SFTPClient

from django_stream_zip.members.readers.compat import SFTP_CONNECTIONS, remote_path
from django_stream_zip.members.readers.processes import forget_after_fork
from django_stream_zip.members.readers.sftp import channels_of
from django_stream_zip.saving.writers.temporary import Folder, Found, TemporaryWriter
from django_stream_zip.saving.writers.writer import Data

Answer = TypeVar("Answer")

# What is handed to paramiko at once; it sends 32 KiB a message.
_PIECE_LENGTH: Final = 256 << 10


class SFTPWriter(TemporaryWriter):
    """Writes into an SFTPStorage."""

    def __init__(self, storage: Any, name: str, *, overwrite: bool = False) -> None:
        super().__init__(storage, name, overwrite=overwrite)
        forget_after_fork(storage, SFTP_CONNECTIONS)
        self._path = remote_path(storage, self.name)

    def exists(self) -> bool:
        """Ask whether there is anything of that name."""
        folder, name = posixpath.split(self._path)
        return SFTPFolder(self.storage, folder).has(name)

    def _folder(self) -> SFTPFolder:
        return SFTPFolder(self.storage, posixpath.dirname(self._path))


class SFTPFolder(Folder):
    """A folder on a server, with the permissions that an SFTPStorage has things have."""

    def __init__(self, storage: Any, path: str) -> None:
        self._storage = storage
        self._path = path
        self._channels = channels_of(storage)

    def create(self, name: str) -> None:
        """Create an empty file, and its folder if need be."""

        def created(client: SFTPClient) -> None:
            self._make_folder(client, self._path)
            client.open(self._at(name), "wx").close()

        self._ask(created)

    def write(self, name: str, position: int, data: Data) -> None:
        """Write to a file, many messages at once.

        Their answers are waited for with the last one: before, and when the file is closed,
        paramiko may not look at them.
        """
        view = memoryview(data)
        last = max(0, len(view) - 1) // _PIECE_LENGTH * _PIECE_LENGTH

        def written(client: SFTPClient) -> None:
            with client.open(self._at(name), "r+b") as file:
                file.seek(position)
                for start in range(0, len(view), _PIECE_LENGTH):
                    file.set_pipelined(start < last)
                    file.write(bytes(view[start : start + _PIECE_LENGTH]))

        self._ask(written)

    def sync(self, name: str) -> None:
        """Do nothing: paramiko has no request for it."""

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""

        def read(client: SFTPClient) -> bytes:
            with client.open(self._at(name), "rb") as file:
                return bytes(file.read())

        return self._ask(read)

    def look(self, name: str) -> Found:
        """Look at a file."""
        found = self._ask(lambda client: client.lstat(self._at(name)))
        return Found(found.st_size or 0, found.st_mtime or 0)

    def has(self, name: str) -> bool:
        """Return whether there is anything of that name."""
        try:
            self.look(name)
        except FileNotFoundError:
            return False
        return True

    def replace(self, name: str, target: str) -> None:
        """Rename a file to one that may be there, by OpenSSH's own message."""
        self._finish(name)
        self._ask(lambda client: client.posix_rename(self._at(name), self._at(target)))

    def rename(self, name: str, target: str) -> None:
        """Rename a file; servers refuse it where there is one of that name."""
        self._finish(name)
        try:
            self._ask(lambda client: client.rename(self._at(name), self._at(target)))
        except FileNotFoundError:
            raise
        except OSError as error:  # which doesn't say why
            if self.has(target):
                raise FileExistsError(errno.EEXIST, "It is there", target) from error
            raise

    def remove(self, name: str) -> None:
        """Remove a file."""
        self._ask(lambda client: client.remove(self._at(name)))

    def names(self) -> Iterator[str]:
        """Yield the names of all files."""
        yield from self._ask(lambda client: client.listdir(self._path))

    def _at(self, name: str) -> str:
        return posixpath.join(self._path, name)

    def _ask(self, question: Callable[[SFTPClient], Answer]) -> Answer:
        client, answer = self._channels.ask(self._storage, question)
        self._channels.release(client)
        return answer

    def _make_folder(self, client: SFTPClient, path: str) -> None:
        try:
            client.stat(path)
        except FileNotFoundError:
            self._make_folder(client, posixpath.dirname(path))
            client.mkdir(path)
            self._own(client, path, self._storage.dir_mode)

    def _finish(self, name: str) -> None:
        """Do what SFTPStorage does to a file that it has saved."""
        self._ask(lambda client: self._own(client, self._at(name), self._storage.file_mode))

    def _own(self, client: SFTPClient, path: str, mode: int | None) -> None:
        storage = self._storage
        if mode is not None:
            client.chmod(path, mode)
        if storage.uid or storage.gid:
            found = client.stat(path)
            client.chown(path, storage.uid or found.st_uid, storage.gid or found.st_gid)
