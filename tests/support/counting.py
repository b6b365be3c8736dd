"""A storage in memory that counts what it is asked for, and fails when it is to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.files.base import ContentFile, File
from django.core.files.storage import Storage

TIME = datetime(2024, 2, 29, 12, 34, 56, tzinfo=UTC)


class CountingStorage(Storage):
    """Keeps contents by name. `calls` are the calls that would be requests to a server."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.errors: dict[str, Exception] = {}
        self.calls: list[tuple[str, str]] = []

    def size(self, name: str) -> int:
        return len(self._content("size", name))

    def get_modified_time(self, name: str) -> datetime:
        self._content("get_modified_time", name)
        return TIME

    def url(self, name: str | None) -> str:
        return f"/media/{name}"

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        return ContentFile(self._content("open", name), name)

    def _content(self, call: str, name: str) -> bytes:
        self.calls.append((call, name))
        if name in self.errors:
            raise self.errors[name]
        if name not in self.files:
            raise FileNotFoundError(2, "No such file", f"/srv/secret/media/{name}")
        return self.files[name]


class SmallStorage(Storage):
    """Has every file, and the same few bytes in each."""

    def size(self, name: str) -> int:
        return 4

    def get_modified_time(self, name: str) -> datetime:
        return TIME

    def _open(self, name: str, mode: str = "rb") -> File[Any]:
        return ContentFile(b"four", name)
