"""Models for the tests: what sites keep files in."""

from __future__ import annotations

import uuid
from typing import Any, Self

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import InMemoryStorage
from django.db import models
from django.db.models.fields.files import FieldFile, FileDescriptor

from django_stream_zip.models import (
    ZipCRC32Field,
    ZipMetadataMixin,
    ZipMetadataModel,
    ZipModifiedAtField,
    ZipSizeField,
)


class Folder(models.Model):
    """What documents lie in."""

    name = models.CharField(max_length=100)


class Document(models.Model):
    """A file, and what is known of it."""

    folder = models.ForeignKey(Folder, models.CASCADE, null=True, blank=True)
    title = models.CharField(max_length=200, blank=True)
    file = models.FileField(blank=True)
    size = models.BigIntegerField(null=True, blank=True)
    crc_32 = models.BigIntegerField(null=True, blank=True)
    uploaded_at = models.DateTimeField(null=True, blank=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True)

    def __str__(self) -> str:
        return self.title

    @property
    def shelf_mark(self) -> str:
        """Is no field, and yet a name."""
        return f"mark {self.title}.pdf"

    def get_shelf_mark(self) -> str:
        """Do the same as a method."""
        return self.shelf_mark


class Contract(Document):
    """A document of which more is known: its primary key is a foreign one."""

    partner = models.CharField(max_length=100, blank=True)


class Attachment(models.Model):
    """One of a document's many more files."""

    document = models.ForeignKey(Document, models.CASCADE, related_name="attachments")
    file = models.FileField(blank=True)


class Picture(models.Model):
    """Two files in a row."""

    position = models.IntegerField(default=0)
    original = models.FileField(blank=True)
    thumbnail = models.FileField(null=True, blank=True)
    original_size = models.BigIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["-position"]


class Scan(models.Model):
    """A file in a row that isn't counted."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    file = models.FileField()


class Cover(models.Model):
    """A file of another row: its primary key is a foreign one, too, but of no parent."""

    folder = models.OneToOneField(Folder, models.CASCADE, primary_key=True)
    file = models.FileField()


class Sheet(models.Model):
    """A file in a row that people name."""

    code = models.CharField(max_length=8, primary_key=True)
    file = models.FileField()


class Translation(models.Model):
    """A file in a row that two columns name: one is a number, one people write."""

    pk = models.CompositePrimaryKey("folder_id", "language")
    folder = models.ForeignKey(Folder, models.CASCADE)
    language = models.CharField(max_length=8)
    file = models.FileField()


class Book(ZipMetadataModel):
    """A file whose facts the row holds, in columns that come before it."""

    title = models.CharField(max_length=100, blank=True)
    file = models.FileField(blank=True)


class Novel(Book):
    """A book with a table of its own beside it."""

    plot = models.CharField(max_length=100, blank=True)


class Paperback(Book):
    """The same rows again."""

    class Meta:
        proxy = True


class Chapter(ZipMetadataModel):
    """One of a book's many more files."""

    book = models.ForeignKey(Book, models.CASCADE, related_name="chapters")
    text = models.FileField(null=True)


class Poster(FieldFile):
    """A FieldFile of a kind of its own."""

    def path_in_town(self) -> str:
        """Tell what it is for."""
        return f"town/{self.name}"


class PosterField(models.FileField):
    """A file field of a kind of its own."""

    attr_class = Poster


class Film(ZipMetadataMixin):
    """Two files with facts, in columns before one and after the other, and a file without."""

    poster_bytes = ZipSizeField("poster")
    poster_crc_32 = ZipCRC32Field("poster")
    poster_at = ZipModifiedAtField("poster")
    poster = PosterField(blank=True)
    trailer = models.FileField(blank=True)
    trailer_bytes = ZipSizeField("trailer")
    trailer_crc_32 = ZipCRC32Field("trailer")
    script = models.FileField(blank=True)


# Where files of archived rows are, and those of the others: names are the same in both.
ARCHIVE = InMemoryStorage()
DESK = InMemoryStorage()


class KeptFile(FieldFile):
    """A file in a storage that its row decides on."""

    def __init__(self, instance: Any, field: Any, name: str | None) -> None:
        super().__init__(instance, field, name)
        self.storage = ARCHIVE if instance.archived else DESK


class KeptFileField(models.FileField):
    """A file field without a storage of its own."""

    attr_class = KeptFile


class Drawer(models.Model):
    """What letters lie in."""

    name = models.CharField(max_length=100, blank=True)


class Unburnt(models.Manager["Letter"]):
    """Knows no letter that was burnt."""

    def get_queryset(self) -> models.QuerySet[Letter]:
        return super().get_queryset().filter(burnt=False)


class Letter(ZipMetadataModel):
    """A file whose storage is another one for each row, and facts of it."""

    drawer = models.ForeignKey(Drawer, models.CASCADE, null=True, related_name="letters")
    archived = models.BooleanField(default=False)
    burnt = models.BooleanField(default=False)
    file = KeptFileField(blank=True)

    objects = Unburnt()
    everything = models.Manager()


class LoveLetter(Letter):
    """A letter with a table of its own beside it."""

    scent = models.CharField(max_length=100, blank=True)


class Copy(Letter):
    """The same rows again."""

    class Meta:
        proxy = True


class Reply(models.Model):
    """A row that refers to a letter."""

    letter = models.ForeignKey(Letter, models.CASCADE, null=True)


class ByDescriptor(FileDescriptor):
    """Gives a FieldFile that is in the archive."""

    def __get__(self, instance: Any, cls: Any = None) -> Any:
        file: Any = super().__get__(instance, cls)
        if instance is not None:
            file.storage = ARCHIVE
        return file


class ByDescriptorField(models.FileField):
    """A file field with a descriptor of its own."""

    descriptor_class = ByDescriptor


class Will(models.Model):
    """A file whose storage the descriptor decides on."""

    file = ByDescriptorField(storage=DESK)


class Deed(models.Model):
    """A file whose storage is set when the row is loaded."""

    file = models.FileField(storage=DESK)

    @classmethod
    def from_db(cls, *args: Any, **options: Any) -> Self:
        instance = super().from_db(*args, **options)
        instance.file.storage = ARCHIVE
        return instance


class Sealed(FieldFile):
    """A file whose bytes are kept backwards."""

    def open(self, mode: str = "rb") -> Any:  # type: ignore[override]
        with self.storage.open(str(self.name), "rb") as kept:
            return ContentFile(kept.read()[::-1], self.name)


class SealedField(models.FileField):
    """A file field for sealed files."""

    attr_class = Sealed


class Secret(models.Model):
    """A file that isn't what its storage keeps."""

    file = SealedField(storage=DESK)
    size = models.IntegerField(null=True)
    at = models.DateTimeField(null=True)
