"""The download of an export: from the storage itself, by the web server, or through us."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from datetime import timedelta
from stat import S_IFREG
from typing import Any, Final, cast
from urllib.parse import quote

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase

from django_stream_zip import NO_COMPRESSION_AUTO, conf
from django_stream_zip.delivery.disposition import attachment
from django_stream_zip.engine.streams import make_options
from django_stream_zip.exports.models import AbstractZipExport
from django_stream_zip.exports.storing import storage_of
from django_stream_zip.members.files import NO_TIME
from django_stream_zip.members.readers.table import class_path, reader_for, unwrapped
from django_stream_zip.members.storage import ReaderContent
from django_stream_zip.planning.content import Description
from django_stream_zip.planning.plan import Plan
from django_stream_zip.planning.steps import Reading, Step
from django_stream_zip.prefetch.source import Source
from django_stream_zip.response import answer

__all__ = ["deliver"]


def deliver(request: HttpRequest, export: AbstractZipExport) -> HttpResponseBase:
    """Answer with the file of an export that is ready. Who may have it was asked before.

    Raises:
        FileNotFoundError: The storage doesn't have it any more.
    """
    if (server := conf.get("EXPORT_SENDFILE")) is not None:
        return _sent_by_server(export, *server)
    # A URL is signed for one method.
    if request.method == "GET" and (url := _signed_url(export)) is not None:
        response = HttpResponseRedirect(url)
        response.headers["Cache-Control"] = "private, no-store"
        return response
    return _sent_by_us(request, export)


# By the web server.


def _sent_by_server(export: AbstractZipExport, header: str, prefix: str) -> HttpResponse:
    """Return headers only: the server adds the file, with its length and ranges."""
    path = f"{prefix.rstrip('/')}/{export.file}"
    response = HttpResponse(content_type="application/zip")
    response.headers[header] = quote(path) if header == "X-Accel-Redirect" else path
    response.headers["Content-Disposition"] = attachment(export.filename)
    response.headers["Cache-Control"] = "private, no-transform"
    return response


# From the storage.


def _s3_url(storage: Any, name: str, disposition: str, seconds: int) -> str | None:
    if not storage.querystring_auth:
        return None
    if storage.custom_domain:
        return storage.url(name, expire=seconds) if storage.cloudfront_signer else None
    parameters = {
        "ResponseContentDisposition": disposition,
        "ResponseContentType": "application/zip",
    }
    return cast(str, storage.url(name, parameters=parameters, expire=seconds))


def _google_url(storage: Any, name: str, disposition: str, seconds: int) -> str | None:
    if not storage.querystring_auth or storage.default_acl == "publicRead":
        return None
    parameters = {
        "response_disposition": disposition,
        "response_type": "application/zip",
        "expiration": timedelta(seconds=seconds),
    }
    try:
        return cast(str, storage.url(name, parameters=parameters))
    except AttributeError:  # the credentials have no key to sign with
        return None


def _azure_url(storage: Any, name: str, disposition: str, seconds: int) -> str | None:
    parameters = {"content_disposition": disposition, "content_type": "application/zip"}
    try:
        return cast(str, storage.url(name, expire=seconds, parameters=parameters))
    except ValueError:  # neither an account's key nor a user's
        return None


_URLS: Final[dict[str, Callable[[Any, str, str, int], str | None]]] = {
    "storages.backends.s3.S3Storage": _s3_url,
    "storages.backends.gcloud.GoogleCloudStorage": _google_url,
    "storages.backends.azure_storage.AzureStorage": _azure_url,
}


def _signed_url(export: AbstractZipExport) -> str | None:
    """Return a URL with which the storage sends the file, None if it signs none."""
    storage = unwrapped(storage_of(export))
    for known in type(storage).__mro__:
        if (signed := _URLS.get(class_path(known))) is not None:
            disposition = attachment(export.filename)
            return signed(storage, export.file, disposition, conf.get("EXPORT_LINK_AGE"))
    return None


# By us.


def _sent_by_us(request: HttpRequest, export: AbstractZipExport) -> HttpResponseBase:
    reader = reader_for(storage_of(export), export.file, decode=False)
    metadata = reader.describe()
    if metadata.size != export.length:
        raise FileNotFoundError(f"{export.file} is not the archive that was stored")
    # The same bytes have the same tag as where they are streamed. A file of its own has its own.
    tag = export.tag or f'"{export.pk.hex}"'
    content = ReaderContent(reader, metadata)
    plan = cast(Plan, StoredArchive(content, metadata.size or 0, tag))
    return answer(request, (), plan, make_options(), filename=export.filename)


class StoredArchive:
    """An archive that is there already, as a download sees a `Plan`: a single content."""

    def __init__(self, content: Any, length: int, entity_tag: str) -> None:
        self._content = content
        self.length = length
        self.entity_tag = entity_tag

    def unknown(self) -> Iterator[Description]:
        """Yield nothing: no CRC-32 has to be known."""
        return iter(())

    def is_within(self, *window: Any) -> bool:
        """Return True: nothing is read that isn't sent."""
        return True

    def steps(
        self,
        start: int,
        stop: int,
        *,
        begun: Callable[[str], object],
        source: Source,
        **others: Any,
    ) -> Generator[Step, None, None]:
        """Yield the reading of a window."""
        if start < stop:
            name = self._content.reader.name
            method = NO_COMPRESSION_AUTO(self.length)
            begun(name)
            yield Reading((name, NO_TIME, S_IFREG, method, self._content), start, stop, bytes)
