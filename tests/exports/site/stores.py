"""The site's store: files in a folder, refused while the site has a file `refusing`."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.files.storage import FileSystemStorage

from django_stream_zip.saving.writers.local import FileWriter, LocalFolder


class Store(FileSystemStorage):
    """Takes files, or refuses them."""


class StoreWriter(FileWriter):
    """Its writer."""

    def _folder(self) -> LocalFolder:
        return StoreFolder(self.storage, self._path.parent)


class StoreFolder(LocalFolder):
    """A folder which is refused what the file's text says: "create", "write" or "rename"."""

    def create(self, name: str) -> None:
        _check("create")
        super().create(name)

    def write(self, name: str, position: int, data: Any) -> None:
        _check("write")
        super().write(name, position, data)

    def rename(self, name: str, target: str) -> None:
        _check("rename")
        super().rename(name, target)


def _check(what: str) -> None:
    refusing = settings.FOLDER / "refusing"
    if refusing.exists() and what in refusing.read_text().split():
        raise PermissionError(f"the key AKIASECRET may not {what}")
