"""Objects read on an event loop, without a thread: by obstore, the extra `async`.

An `AsyncReader` stands beside a remote reader, which describes the object and knows the version
that is read. Each store says only how obstore is to reach it.
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
from functools import partial
from pathlib import Path
from typing import Any, Final

from django_stream_zip.members.readers.processes import PerProcess
from django_stream_zip.members.readers.reader import Reader, archived_error
from django_stream_zip.members.readers.remote import CHUNK_LENGTH, ObstoreObject, RemoteReader
from django_stream_zip.members.readers.transfer import ResponseBody, Transfer

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


class EncodedError(Exception):
    """What is stored is gzip, and is to be decoded: the other reader does that."""


def async_reader(reader: Reader) -> AsyncReader | None:
    """Return what reads on an event loop for this reader; None if nothing does.

    Not to be called on the loop: credentials are looked for.
    """
    if obstore is None or not isinstance(reader, RemoteReader) or _Runtime.is_of_parent():
        return None
    found = reader.obstore_object()
    return AsyncReader(reader, found) if found is not None and _is_plain(found.key) else None


def _is_plain(key: str) -> bool:
    """Return whether obstore takes a key as it is: some it refuses, of some it drops a part."""
    return key.isprintable() and not {"", ".", ".."}.intersection(key.split("/"))


class _Runtime:
    """Remembers which process obstore's threads are in. They don't survive a fork."""

    process: int | None = None

    @classmethod
    def begin(cls) -> None:
        """Record that it reads."""
        cls.process = cls.process or os.getpid()

    @classmethod
    def is_of_parent(cls) -> bool:
        """Whether it has read before a fork, and would hang now."""
        return cls.process not in (None, os.getpid())


def options(
    scheme: str, verify: bool | str | None = None, proxies: dict[str, str] | None = None
) -> dict[str, Any]:
    """Return a store's options for how to connect. `verify` and `proxies` are as in `requests`."""
    client: dict[str, Any] = {
        "allow_http": scheme == "http",
        # Of a whole response, which a slow client takes for hours.
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


_stores: Final = PerProcess()


def shared_store(storage: Any, make: Callable[[Any, str], Any], bucket: str) -> Any:
    """Return this process's one store of obstore for a bucket of a storage.

    `make` is called with both. Where it fails, the answer is None: a thread reads then.
    """
    return _stores.get(storage, partial(_attempted, make, bucket=bucket), bucket)


def _attempted(make: Callable[[Any, str], Any], storage: Any, *, bucket: str) -> Any:
    try:
        return make(storage, bucket)
    except Exception:
        logger.warning("%r can't be read on the event loop", storage, exc_info=True)
        return None


class AsyncReader:
    """Reads an object on an event loop."""

    def __init__(self, reader: RemoteReader, found: ObstoreObject) -> None:
        #: What reads the same, and decodes it too, in a thread.
        self.threaded = reader
        self._object = found

    def afresh(self) -> AsyncReader:
        """Return a reader of the same object, of which nothing has been seen yet."""
        return AsyncReader(self.threaded.afresh(), self._object)

    async def chunks(self, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """Do what the reader's `chunks` does, on the loop. Raises EncodedError before the first."""
        reader = self.threaded
        if self._is_decoded():
            raise EncodedError
        if reader.deflate_stream is not None:
            start, stop = reader.deflate_stream.part(start, stop)
        transfer = Transfer(reader.name, start, stop)
        if start and reader.seen_size is None:
            await self._ask({"head": True})  # a range beyond the end would be refused
        while not (transfer.is_complete or self._is_at_end(transfer.position)):
            body = stream = cause = None
            try:
                body, stream = await self._ask(_range(transfer.position, transfer.stop))
                async for chunk in stream:
                    transfer.advance(chunk, body)
                    yield bytes(chunk)
            except BaseError as error:
                cause = error
            finally:
                stream = None  # it would stay open for as long as the traceback of a cancelled task
            if not transfer.end(body, cause):
                await asyncio.sleep(_PAUSE)

    def _is_decoded(self) -> bool:
        """Return whether what is read has to be decoded, or the store would do it by itself."""
        reader = self.threaded
        return reader.is_encoded and (reader.deflate_stream is None or reader.serves_decoded)

    def _is_at_end(self, position: int) -> bool:
        """Return whether there are no bytes at a position. Of an empty object that is asked."""
        size = self.threaded.seen_size
        return size is not None and position >= max(size, 1)

    async def _ask(self, options: dict[str, Any]) -> tuple[ResponseBody, Any]:
        """Ask for the version that was seen first; return what the response says, and its bytes."""
        reader, (store, key, version_option) = self.threaded, self._object
        if reader.version:
            options[version_option] = reader.version
        _Runtime.begin()
        with self._refusals():
            found = await obstore.get_async(store, key, options=options)
        version = found.meta["version" if version_option == "version" else "e_tag"]
        encoding = found.attributes.get("Content-Encoding") or ""
        body = ResponseBody(iter(()), found.range[1], found.meta["size"], version, encoding)
        if version is None:
            raise OSError(f"{reader.name}: the store doesn't say which version it sends")
        reader.check(body)
        if self._is_decoded():
            raise EncodedError
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
        is_generation = reader.version is not None and self._object.version_option == "version"
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
