"""Objects read on an event loop, without a thread: by obstore, the extra `async`.

A `LoopReader` stands beside a remote reader, which describes the object, knows the version that is
read, and says what a store's answer means. Each store says only how obstore is to reach it.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from django_stream_zip.members.readers.reader import Reader, archived_error
from django_stream_zip.members.readers.remote import CHUNK_LENGTH, Body, Patience, RemoteReader

try:
    import obstore
    from obstore.exceptions import (
        BaseError,
        PermissionDeniedError,
        PreconditionError,
        UnauthenticatedError,
    )

    # What a store's answer means for a file.
    _NUMBERS: Final[tuple[tuple[type[Exception], int], ...]] = (
        (FileNotFoundError, errno.ENOENT),
        (PermissionDeniedError, errno.EACCES),
        (UnauthenticatedError, errno.EACCES),
    )
except ImportError:
    obstore = None

# obstore would resume a body with whatever version of the object there is by then.
_NO_RETRIES: Final = {"max_retries": 0}

logger = logging.getLogger("django_stream_zip")

# Obstore knows no such error. It shows the answer: S3's is a 403, Azure's a 409.
_ARCHIVED: Final = re.compile("<Code>(InvalidObjectState|BlobArchived)</Code>")

# Seconds. A store that is overloaded is not asked again at once.
_PAUSE: Final = 0.1


class PackedError(Exception):
    """What is stored is gzip, and is to be unpacked: that is the other reader's business."""


def loop_reader(reader: Reader) -> LoopReader | None:
    """Give what reads on an event loop for this reader; None if nothing does.

    Not to be called on the loop: credentials are looked for.
    """
    if obstore is None or not isinstance(reader, RemoteReader) or _Runtime.is_of_parent():
        return None
    place = reader.object_store()
    return LoopReader(reader, *place) if place is not None and _is_plain(place[1]) else None


def _is_plain(key: str) -> bool:
    """Say whether obstore takes a key as it is: some it refuses, of some it drops a part."""
    return key.isprintable() and not {"", ".", ".."}.intersection(key.split("/"))


class _Runtime:
    """Remembers which process obstore's threads are in. They don't survive a fork."""

    process: int | None = None

    @classmethod
    def begin(cls) -> None:
        """Take note that it reads."""
        cls.process = cls.process or os.getpid()

    @classmethod
    def is_of_parent(cls) -> bool:
        """Whether it has read before a fork, and would hang now."""
        return cls.process not in (None, os.getpid())


def options(
    scheme: str, verify: bool | str | None = None, proxies: dict[str, str] | None = None
) -> dict[str, Any]:
    """Give a store's options for how to connect. `verify` and `proxies` are as in `requests`."""
    client: dict[str, Any] = {
        "allow_http": scheme == "http",
        # Of a whole response, which a slow visitor takes for hours.
        "timeout": timedelta(days=7),
        "read_timeout": timedelta(seconds=60),
        "connect_timeout": timedelta(seconds=20),
    }
    if verify is False:
        client["allow_invalid_certificates"] = True
    elif isinstance(verify, str):
        client["root_certificate"] = Path(verify).read_bytes()
    if proxy := (proxies or {}).get(scheme):
        client["proxy_url"] = proxy
    return {"client_options": client, "retry_config": _NO_RETRIES}


def attempted(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Have what makes a store for a storage give None where it fails: others read it then."""

    def made(storage: Any) -> Any:
        try:
            return make(storage)
        except Exception:
            logger.warning("%r can't be read on the event loop", storage, exc_info=True)
            return None

    return made


class LoopReader:
    """Reads an object on an event loop."""

    def __init__(self, reader: RemoteReader, store: Any, key: str, pinned_by: str) -> None:
        #: What reads the same, and unpacks it too, in a thread.
        self.threaded = reader
        self._store = store
        self._key = key
        self._pinned_by = pinned_by

    def afresh(self) -> LoopReader:
        """Return a reader of the same object, of which nothing has been seen yet."""
        return LoopReader(self.threaded.afresh(), self._store, self._key, self._pinned_by)

    async def chunks(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """Do what the reader's `chunks` does, on the loop. Raises PackedError before the first."""
        reader, position = self.threaded, start
        patience = Patience(reader.name, start)
        if reader.is_packed:
            raise PackedError
        if start and reader.seen_size is None:
            await self._ask({"head": True})  # a range beyond the end would be refused
        while stop is None or position < stop:
            if reader.seen_size is not None and position >= reader.seen_size > 0:
                return
            body = stream = cause = None
            try:
                body, stream = await self._ask(_range(position, stop))
                async for chunk in stream:
                    position += len(chunk)
                    reader.check_position(position, body)
                    yield bytes(chunk)
            except BaseError as error:
                cause = error
            finally:
                stream = None  # it would stay open for as long as the traceback of a cancelled task
            if body is not None and position >= body.stop:
                total = body.total or 0
                stop = total if stop is None else min(stop, total)
            else:
                patience.lose(position, cause)
                await asyncio.sleep(_PAUSE)

    async def _ask(self, options: dict[str, Any]) -> tuple[Body, Any]:
        """Ask for an object, the version that was seen first; give what is told, and the bytes."""
        reader = self.threaded
        if reader.pin:
            options[self._pinned_by] = reader.pin
        _Runtime.begin()
        with self._refusals():
            found = await obstore.get_async(self._store, self._key, options=options)
        pin = found.meta["version" if self._pinned_by == "version" else "e_tag"]
        encoding = found.attributes.get("Content-Encoding") or ""
        body = Body(iter(()), found.range[1], found.meta["size"], pin, encoding)
        if pin is None:
            raise OSError(f"{reader.name}: the store doesn't say which version it gives")
        reader.check(body)
        if reader.is_packed:
            raise PackedError
        return body, found.stream(CHUNK_LENGTH)

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """Raise for a store's refusals what the reader raises for them."""
        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            meant = self._meant(error)
            if meant is None:
                raise
            raise meant from error

    def _meant(self, error: Exception) -> Exception | None:
        """Return what an error of obstore means for the file; None if it's the connection's."""
        reader = self.threaded
        # Google has no condition: a generation that was replaced is just not there.
        is_generation = reader.pin is not None and self._pinned_by == "version"
        is_gone = isinstance(error, FileNotFoundError) and is_generation
        if is_gone or isinstance(error, PreconditionError):
            return reader.changed()
        if _ARCHIVED.search(str(error)):
            return archived_error(reader.name, "the store says")
        number = next((number for kind, number in _NUMBERS if isinstance(error, kind)), None)
        # OSError makes the subclass for the number.
        return None if number is None else OSError(number, os.strerror(number), reader.name)


def _range(start: int, stop: int | None) -> dict[str, Any]:
    if stop is not None:
        return {"range": (start, stop)}
    return {"range": {"offset": start}} if start else {}
