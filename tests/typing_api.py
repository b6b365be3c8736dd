"""The public API as a user writes it, for mypy. Not run."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import datetime, timedelta
from stat import S_IFREG

from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from django_stream_zip import (
    NO_COMPRESSION_32,
    NO_COMPRESSION_64,
    NO_COMPRESSION_AUTO,
    ZIP_32,
    ZIP_64,
    ZIP_AUTO,
    AsyncMemberFile,
    MemberFile,
    Method,
    async_stream_zip,
    stream_zip,
)
from django_stream_zip.exports import State, ZipExportView, request_zip, zip_export
from django_stream_zip.members import (
    bytes_member,
    file_member,
    folder_members,
    queryset_members,
    storage_member,
)
from django_stream_zip.models import ZipMetadataModel
from django_stream_zip.planning.content import Content
from django_stream_zip.response import ZipInfo, ZipResponse, zip_info, zip_response
from django_stream_zip.views import (
    AsyncQuerySetZipDownloadView,
    SignedZipLinkMixin,
    ZipDownloadView,
    zip_link,
)

now = datetime.now()
methods: list[Method] = [
    ZIP_32,
    ZIP_64,
    ZIP_AUTO(3),
    ZIP_AUTO(3, level=1),
    NO_COMPRESSION_32,
    NO_COMPRESSION_32(3, 0),
    NO_COMPRESSION_64,
    NO_COMPRESSION_64(3, 0),
    NO_COMPRESSION_AUTO(3),
    NO_COMPRESSION_AUTO(3, crc_32=zlib.crc32(b"abc")),
]


def members() -> Iterator[MemberFile]:
    for number, method in enumerate(methods):
        yield f"{number}.txt", now, S_IFREG | 0o644, method, (b"abc",)


async def chunks() -> AsyncIterator[bytes]:
    yield b"abc"


async def async_members() -> AsyncIterator[AsyncMemberFile]:
    yield "a.txt", now, S_IFREG | 0o644, ZIP_64, chunks()


def sync_archive() -> bytes:
    return b"".join(
        stream_zip(
            members(),
            chunk_size=65536,
            get_compressobj=lambda: zlib.compressobj(wbits=-zlib.MAX_WBITS, level=1),
            extended_timestamps=False,
            password="secret",
            get_crypto_random=lambda length: bytes(length),
        )
    )


async def async_archive() -> list[bytes]:
    return [block async for block in async_stream_zip(async_members())]


def view(request: HttpRequest) -> HttpResponseBase:
    return zip_response(request, [file_member("a.txt")], filename="b.zip", password="secret")


def plain_view(request: HttpRequest) -> HttpResponse:
    info: ZipInfo = zip_info([file_member("a.txt")])
    assert info.length is None or info.is_resumable
    link: str = zip_link("/a/", max_age=timedelta(days=1), request=request)
    return zip_response(request, folder_members("/a"), content_type="a/b", comment=link)


class Shared(SignedZipLinkMixin, AsyncQuerySetZipDownloadView):
    model = None

    def get_member_name(self, instance: models.Model, stored_name: str) -> str:
        return f"{instance.pk}-{stored_name}"


class Download(ZipDownloadView):
    filename = "download.zip"

    def get_members(self) -> Iterable[MemberFile]:
        member = storage_member(default_storage, "a.txt", "b.txt", size=1, modified_at=now)
        content: Content = member[4]
        assert content.size == 1
        return [member, bytes_member(b"abc", "c.txt")]


response: type[HttpResponseBase] = ZipResponse


class Recording(ZipMetadataModel):
    file = models.FileField()

    class Meta:
        app_label = "tests"


class Song(ZipMetadataModel):
    file = models.FileField()

    class Meta(ZipMetadataModel.Meta):
        app_label = "tests"


def facts_of(recording: Recording) -> tuple[int | None, int | None, datetime | None]:
    return recording.zip_size, recording.zip_crc_32, recording.zip_modified_at


def known(recordings: models.QuerySet[Recording]) -> list[MemberFile]:
    return [*queryset_members(recordings.filter(zip_size__gt=0), "file")]


def may_see(user: User, *, album: int) -> bool:
    return user.is_active and album > 0


@zip_export("typed album", allowed=may_see, shareable=True)
def album(*, album: int) -> list[MemberFile]:
    return [bytes_member(b"abc", f"{album}.txt")]


class AlbumExport(ZipExportView):
    recipe = "typed album"
    filename = "album.zip"

    def get_arguments(self) -> dict[str, int]:
        return {"album": 7}


def prepared(user: User) -> str:
    export = request_zip("typed album", owner=user, album=7)
    if export.shown_state == State.READY and export.fraction == 1:
        return export.get_share_url(max_age=60)
    return export.get_absolute_url()
