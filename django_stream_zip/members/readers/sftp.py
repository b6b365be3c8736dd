"""SFTP: a file read by many requests at once, each reading on a channel of its own.

One request for 32 KiB at a time, as the storage's own `open()` has it, is bound by the way to the
server: 0.85 MB/s at 30 ms. And one channel isn't for two threads: each may take the other's answer
away.
"""

from __future__ import annotations

import stat
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Final, TypeVar

from paramiko import (
    AuthenticationException,
    SFTPAttributes,
    SFTPClient,
    SFTPError,
    SSHException,
)

from django_stream_zip.members.build import time_of
from django_stream_zip.members.files import has_settled
from django_stream_zip.members.readers.compat import SFTP_CONNECTIONS, remote_path
from django_stream_zip.members.readers.places import known_place
from django_stream_zip.members.readers.processes import PerProcess, forget_after_fork
from django_stream_zip.members.readers.reader import Metadata
from django_stream_zip.members.readers.remote import CHUNK_LENGTH, RemoteReader
from django_stream_zip.members.readers.transfer import ResponseBody
from django_stream_zip.planning.content import ContentChangedError

Answer = TypeVar("Answer")

# As many bytes are asked for at once. paramiko has a limit of its own for larger numbers, but then
# leaves a thread behind for ever if the file isn't read to its end.
_WINDOW_LENGTH: Final = 2 << 20

# Seconds to wait before a question is asked again on a new connection.
_PAUSES: Final = (0.0, 0.1, 0.5)

# OpenSSH lets a connection have ten channels.
_MAX_IDLE: Final = 8


class SFTPReader(RemoteReader):
    """Reads a file of an SFTPStorage. Its version is its size and its modification time.

    Not prefetched: an open file takes one of the ten channels that OpenSSH lets a connection have.
    """

    is_remote: ClassVar[bool] = False

    breaks: ClassVar[tuple[type[Exception], ...]] = (OSError, EOFError, SSHException, SFTPError)

    def __init__(self, storage: Any, name: str, *, decode: bool | None = None) -> None:
        super().__init__(storage, name, decode=decode)
        forget_after_fork(storage, SFTP_CONNECTIONS)
        self._path = remote_path(storage, name)
        self._channels = channels_of(storage)

    def _place(self) -> str | None:
        params = self.storage.params
        return known_place(self.storage, params.get("port", 22), params.get("username"))

    def _head(self) -> tuple[Metadata, str]:
        client, found = self._channels.ask(self.storage, lambda client: client.stat(self._path))
        self._channels.release(client)
        if stat.S_ISDIR(found.st_mode or 0):
            raise IsADirectoryError(self.name)
        modified_at = time_of(found.st_mtime or 0)
        self.is_settled = has_settled(found.st_mtime or 0)
        return Metadata(found.st_size or 0, None, modified_at, _version(found)), ""

    def _body(self, start: int, stop: int | None, done: int) -> ResponseBody | None:
        client, (file, found) = self._channels.ask(self.storage, self._open)

        def close() -> None:
            # Waits for what was asked for already, of which there isn't much.
            file.close()
            self._channels.release(client)

        size = found.st_size or 0
        end = size if stop is None else min(stop, size)
        chunks = self._watched(file, found, _windows(file, start, end), end - start)
        return ResponseBody(chunks, end, size, _version(found), "", close)

    def _watched(
        self, file: Any, before: SFTPAttributes, chunks: Iterator[bytes], left: int
    ) -> Iterator[bytes]:
        """Yield the chunks of an open file, the last one unless it was written to meanwhile.

        It may have grown. Where this look fails, the connection broke before the last chunk,
        which is asked for again.
        """
        for chunk in chunks:
            left -= len(chunk)
            if left <= 0:
                after = file.stat()
                only_grew = (after.st_size or 0) > (before.st_size or 0)
                if _version(after) != _version(before) and not only_grew:
                    raise ContentChangedError(f"{self.name} was modified while it was read")
            yield chunk

    def _open(self, client: SFTPClient) -> tuple[Any, SFTPAttributes]:
        file = client.open(self._path, "rb")
        return file, file.stat()

    def _status(self, error: Any) -> int | None:
        return None


def _version(found: SFTPAttributes) -> str:
    return f"{found.st_size or 0:x}-{found.st_mtime or 0:x}"


def _windows(file: Any, position: int, stop: int) -> Iterator[bytes]:
    """Yield the file's bytes, asking for a window of them at once."""
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


class Channels:
    """The channels of a storage's connection that nobody uses right now."""

    def __init__(self) -> None:
        self._idle: list[SFTPClient] = []
        self._lock = threading.Lock()

    def ask(self, storage: Any, question: Callable[[SFTPClient], Answer]) -> tuple[Any, Answer]:
        """Ask something on a channel; return the channel and the answer.

        A connection that is gone, be it since long ago, is made anew. Raises OSError if that
        doesn't help, and what the question raises.
        """
        for pause in _PAUSES:
            client = None
            try:
                client = self._take(storage)
                return client, question(client)
            except AuthenticationException:
                raise
            except (EOFError, SSHException) as error:
                cause = error
            except OSError:  # an answer too: there is no such file
                self.release(client)
                raise
            # paramiko takes a moment to notice.
            time.sleep(pause)
        raise OSError(f"the connection to {storage.host} breaks, again and again") from cause

    def _take(self, storage: Any) -> SFTPClient:
        """Return a channel, a new one if need be."""
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

    def release(self, client: SFTPClient | None) -> None:
        """Keep a channel for the next thread that needs one, if it is fit to be used."""
        if client is None:
            return
        with self._lock:
            if _is_open(client) and len(self._idle) < _MAX_IDLE:
                self._idle.append(client)
                return
        client.close()


def channels_of(storage: Any) -> Channels:
    """Return the channels of a storage, the same for all that read and write there."""
    channels: Channels = _pools.get(storage, lambda storage: Channels())
    return channels


def _is_open(client: SFTPClient) -> bool:
    channel = client.get_channel()
    return not channel.closed and channel.get_transport().is_active()


_pools: Final = PerProcess()
