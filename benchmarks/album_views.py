"""The view of an album: its rows as an archive, by every engine as an able user would write it."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED

from django.conf import settings
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone

from benchmarks import albums
from benchmarks.albums import ALBUMS
from benchmarks.engines.engine import MODE
from benchmarks.files import Decoded, OnDisk
from benchmarks.package import named
from django_stream_zip.response import zip_response
from django_stream_zip.views import QuerySetZipDownloadView

# Below, a file is read whole: that is the fastest way for the peers.
_SMALL = 100_000


class AlbumDownload(QuerySetZipDownloadView):
    """The README's view of a queryset."""

    file_fields = ("file",)
    member_options = {"name": "{title}{ext}"}
    filename = "album.zip"

    def get_queryset(self) -> Any:
        return albums.rows(self.kwargs["album"], self.kwargs["count"])


def ours(request: HttpRequest, album: str, count: int) -> Any:
    """Answer by the package."""
    return AlbumDownload.as_view()(request, album=album, count=count)


def decoded(request: HttpRequest, album: str, count: int) -> Any:
    """Answer by the package with logs that the application decodes."""
    build_member, at = named("django_stream_zip.members.build.build_member"), timezone.now()
    members = [
        build_member(f"{title}.log", at, MODE, True, Decoded(OnDisk(path)))
        for title, path in _selected(album, count, "title")
    ]
    return zip_response(request, members)


def stream_zip(request: HttpRequest, album: str, count: int) -> Any:
    """Answer by stream-zip in a plain response."""
    from stream_zip import stream_zip

    members = _deflated_by_stream_zip
    if ALBUMS[album].is_stored:
        members = _stored_by_stream_zip if ALBUMS[album].is_known else _read_for_stream_zip
    return _plain_response(stream_zip(members(album, count)))


def _stored_by_stream_zip(album: str, count: int) -> Iterator[Any]:
    """Yield members that aren't held in memory, as size and CRC-32 are known."""
    from stream_zip import NO_COMPRESSION_64

    columns = ("title", "zip_modified_at", "zip_size", "zip_crc_32")
    for title, at, size, crc_32, path in _selected(album, count, *columns):
        method = NO_COMPRESSION_64(size, crc_32)
        yield f"{title}{_extension(album)}", at, MODE, method, OnDisk(path)


def _read_for_stream_zip(album: str, count: int) -> Iterator[Any]:
    """Yield members that are small enough to be read for their CRC-32."""
    from stream_zip import NO_COMPRESSION_64

    at = timezone.now()
    for title, path in _selected(album, count, "title"):
        data = _read(path)
        method = NO_COMPRESSION_64(len(data), zlib.crc32(data))
        yield f"{title}{_extension(album)}", at, MODE, method, (data,)


def _deflated_by_stream_zip(album: str, count: int) -> Iterator[Any]:
    from stream_zip import ZIP_64

    at = timezone.now()
    for title, path in _selected(album, count, "title"):
        yield f"{title}{_extension(album)}", at, MODE, ZIP_64, OnDisk(path)


def zipstream_ng(request: HttpRequest, album: str, count: int) -> Any:
    """Answer by zipstream-ng in a plain response."""
    return _plain_response(_blocks_by_zipstream_ng(album, count))


def _blocks_by_zipstream_ng(album: str, count: int) -> Iterator[bytes]:
    """Yield an archive of files that are added one by one: faster here than a queue of them."""
    from zipstream import ZipStream

    is_small = ALBUMS[album].size < _SMALL
    archive = ZipStream(compress_type=ZIP_STORED if ALBUMS[album].is_stored else ZIP_DEFLATED)
    for title, path in _selected(album, count, "title"):
        data = _read(path) if is_small else OnDisk(path)
        archive.add(data, f"{title}{_extension(album)}", size=ALBUMS[album].size)
        yield from archive.all_files()
    yield from archive.finalize()


def plain(request: HttpRequest, album: str, count: int) -> Any:
    """Answer with the same files, one after the other, no archive. (Under ASGI see `site`.)"""
    return _plain_response(albums.plain_chunks(album, count))


_ENGINES: dict[str, Callable[[HttpRequest, str, int], Any]] = {
    "ours": ours,
    "decoded": decoded,
    "stream-zip": stream_zip,
    "zipstream-ng": zipstream_ng,
    "plain": plain,
}


def answer(request: HttpRequest, engine: str, album: str, count: int) -> Any:
    """Answer by one of the engines."""
    return _ENGINES[engine](request, album, count)


def _plain_response(blocks: Iterable[bytes]) -> StreamingHttpResponse:
    return StreamingHttpResponse(blocks, content_type="application/octet-stream")


def _selected(album: str, count: int, *columns: str) -> Iterator[Any]:
    """Yield these columns of the rows, and the path of each file."""
    selected = albums.rows(album, count).order_by("pk").values_list(*columns, "file")
    for *values, stored in selected.iterator():
        yield *values, f"{settings.MEDIA_ROOT}/{stored}{ALBUMS[album].suffix}"


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.readall()


def _extension(album: str) -> str:
    return ALBUMS[album].extension
