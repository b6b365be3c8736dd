"""django_stream_zip as a Django view uses it: `file_member` and `zip_response`, all by default."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks.engines.engine import How
from benchmarks.files import File, OnDisk


class OursDjango:
    """The response, with what is told in the setting DJANGO_STREAM_ZIP."""

    def __init__(self, **setting: Any) -> None:
        self._setting = setting

    def missing(self) -> str | None:
        from django_stream_zip import conf

        unknown = self._setting.keys() - conf.KEYS.keys()
        return f"DJANGO_STREAM_ZIP has no key {', '.join(unknown)}" if unknown else None

    def members(self, files: Iterable[File], how: How) -> Iterable[Any]:
        self._configure()
        from django_stream_zip.members import bytes_member, file_member

        for file in files:
            if isinstance(file.chunks, OnDisk):
                yield file_member(file.chunks.path, file.name)
            else:
                yield bytes_member(b"".join(file.chunks), file.name)

    def write(self, members: Iterable[Any], how: How) -> int:
        from django.test import RequestFactory

        from django_stream_zip.response import zip_response

        response: Any = zip_response(RequestFactory().get("/"), members, password=how.password)
        try:
            return sum(map(len, response))
        finally:
            response.close()

    def _configure(self) -> None:
        import django
        from django.conf import settings

        if not settings.configured:
            settings.configure(
                INSTALLED_APPS=["django_stream_zip"],
                DJANGO_STREAM_ZIP=self._setting,
                USE_TZ=True,
            )
            django.setup()
