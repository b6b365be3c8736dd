"""Any storage: its own `save()`, which reads the archive from a file object."""

from __future__ import annotations

import logging
from typing import Any, cast

from django.core.files.base import File

from django_stream_zip.saving.errors import NameRefusedError, SaveError, name_taken
from django_stream_zip.saving.writers.writer import Published, Readable, StreamWriter

logger = logging.getLogger("django_stream_zip")


class GenericWriter(StreamWriter):
    """Writes into a storage of which nothing is known.

    As good as the storage is: what one has published of an archive that failed is deleted, but a
    file that it had begun to overwrite is not what it was.
    """

    def check(self) -> None:
        """Raise unless the storage would save under just this name."""
        super().check()
        available = self.storage.get_available_name(self.name)
        if available != self.name:
            raise NameRefusedError(
                f"the storage would save {self.name!r} as {available!r}: "
                "choose another name, or delete the file there"
            )

    def save(self, archive: Readable) -> Published:
        """Have the storage read the archive; delete what isn't the whole of it."""
        existed = self.exists()
        saved: str | None = None
        try:
            saved = self.storage.save(self.name, File(cast(Any, archive), name=self.name))
            self._check_saved(saved, archive)
        except BaseException:
            self._clean_up(saved, existed=existed)
            raise
        return Published(archive.reached)

    def _check_saved(self, saved: str, archive: Readable) -> None:
        if saved != self.name:
            if not self.overwrite and self.exists():
                raise name_taken(self.name)
            raise NameRefusedError(f"the storage saved {self.name!r} as {saved!r}")
        if not archive.is_exhausted:
            raise SaveError(f"the storage did not read {self.name!r} to its end")
        try:
            size = self.storage.size(saved)
        except NotImplementedError:
            return
        if size != archive.reached:
            raise SaveError(
                f"the storage has {size:,} bytes of {self.name!r}, which has {archive.reached:,}"
            )

    def _clean_up(self, saved: str | None, *, existed: bool) -> None:
        """Delete what was saved, or was begun under a name that there was no file of."""
        name = saved or (None if existed else self.name)
        if name is None:
            return
        try:
            self.storage.delete(name)
        except Exception:
            logger.warning("could not delete what was saved of %r", name, exc_info=True)
