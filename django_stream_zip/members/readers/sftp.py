"""SFTP: a file read by many requests at once, each reading on a channel of its own.

One request for 32 KiB at a time, as the storage's own `open()` has it, is bound by the way to the
server: 0.85 MB/s at 30 ms. And one channel isn't for two threads: each may take the other's answer
away.
"""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, ClassVar, Final
from weakref import WeakKeyDictionary

from paramiko import SFTPAttributes, SFTPClient, SFTPError, SSHException
from storages.backends.sftpstorage import SFTPStorage

from django_stream_zip.members.readers.remote import CHUNK_LENGTH, Body, Head, RemoteReader

# As many bytes are asked for at once. paramiko has a limit of its own for larger numbers, but then
# leaves a thread behind for ever if the file isn't read to its end.
_WINDOW_LENGTH: Final = 2 << 20

# OpenSSH lets a connection have ten channels.
_MAX_IDLE: Final = 8


class SFTPReader(RemoteReader):
    """Reads a file of an SFTPStorage. Its version is its size and its modification time."""

    breaks: ClassVar[tuple[type[Exception], ...]] = (OSError, EOFError, SSHException, SFTPError)

    def __init__(self, storage: Any, name: str, *, decode: bool | None = None) -> None:
        super().__init__(storage, name, decode=decode)
        self._path = storage._remote_path(name)
        self._channels = _pools.setdefault(storage, _Channels())

    def _head(self) -> Head:
        client = self._channels.take(self.storage)
        try:
            found = client.stat(self._path)
        finally:
            self._channels.give_back(client)
        if stat.S_ISDIR(found.st_mode or 0):
            raise IsADirectoryError(self.name)
        modified_at = datetime.fromtimestamp(found.st_mtime or 0, UTC)
        return Head(found.st_size or 0, modified_at, _version(found), "")

    def _body(self, start: int, stop: int | None, done: int) -> Body | None:
        client = self._channels.take(self.storage)
        try:
            file = client.open(self._path, "rb")
            found = file.stat()
        except BaseException:
            self._channels.give_back(client)
            raise

        def close() -> None:
            # Waits for what was asked for already, of which there isn't much.
            file.close()
            self._channels.give_back(client)

        size = found.st_size or 0
        end = size if stop is None else min(stop, size)
        return Body(_windows(file, start, end), end, size, _version(found), "", close)

    def _status(self, error: Any) -> int | None:
        return None


def _version(found: SFTPAttributes) -> str:
    return f"{found.st_size or 0:x}-{found.st_mtime or 0:x}"


def _windows(file: Any, position: int, stop: int) -> Iterator[bytes]:
    """Give the file's bytes, asking for a window of them at once."""
    while position < stop:
        end = min(position + _WINDOW_LENGTH, stop)
        file.seek(position)
        file.prefetch(end)
        while position < end:
            chunk = file.read(min(CHUNK_LENGTH, end - position))
            if not chunk:
                return
            position += len(chunk)
            yield chunk


class _Channels:
    """The channels of a storage's connection that nobody uses right now."""

    def __init__(self) -> None:
        self._idle: list[SFTPClient] = []
        self._lock = threading.Lock()

    def take(self, storage: Any) -> SFTPClient:
        """Give a channel, a new one if need be."""
        with self._lock:
            while self._idle:
                client = self._idle.pop()
                if _is_open(client):
                    return client
            # Connects, or does so again: not to be done by two threads at once.
            transport = storage.sftp.get_channel().get_transport()
        client = SFTPClient.from_transport(transport)
        assert client is not None
        return client

    def give_back(self, client: SFTPClient) -> None:
        """Keep a channel for the next who needs one, if it is fit to be used."""
        with self._lock:
            if _is_open(client) and len(self._idle) < _MAX_IDLE:
                self._idle.append(client)
                return
        client.close()


def _is_open(client: SFTPClient) -> bool:
    channel = client.get_channel()
    return not channel.closed and channel.get_transport().is_active()


_pools: WeakKeyDictionary[SFTPStorage, _Channels] = WeakKeyDictionary()
