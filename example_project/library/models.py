"""What the library holds: folders, and the documents in them."""

from __future__ import annotations

import mimetypes
from pathlib import PurePosixPath

from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone

# Names become paths inside a ZIP: a name is one step of such a path, never several.
one_path_step = RegexValidator(
    r"\A(?!\.{1,2}\Z)[^/\\\x00-\x1f]+\Z",
    "A name may not hold a slash, a backslash or a line break.",
)

KINDS = {
    "application/pdf": "PDF",
    "application/zip": "ZIP archive",
    "image/jpeg": "JPEG image",
    "text/csv": "CSV table",
    "text/plain": "Plain text",
    # These depend on the version of Python and on the system.
    "audio/wav": "WAV audio",
    "audio/x-wav": "WAV audio",
    "audio/vnd.wave": "WAV audio",
    "application/x-zip-compressed": "ZIP archive",
}


class Folder(models.Model):
    """A folder of documents, of the same name inside a ZIP."""

    name = models.CharField(max_length=100, unique=True, validators=[one_path_step])
    slug = models.SlugField(max_length=100, unique=True)
    description = models.TextField(blank=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


def stored_path(document: Document, file_name: str) -> str:
    """Return the path of a document's file in the storage, which makes it unique."""
    return f"documents/{document.folder.slug}/{file_name}"


class Document(models.Model):
    """A file in a folder.

    The storage changes names (no spaces, no name twice), so `name` keeps the one that the file was
    uploaded with: the name that people look for in a ZIP.
    """

    folder = models.ForeignKey(Folder, on_delete=models.CASCADE, related_name="documents")
    title = models.CharField(max_length=200)
    name = models.CharField(
        "file name",
        max_length=200,
        blank=True,
        validators=[one_path_step],
        help_text="The name in a ZIP. Leave it empty to take the name of the file.",
    )
    file = models.FileField(upload_to=stored_path, max_length=400)
    content_type = models.CharField("content type", max_length=100, blank=True)
    size = models.PositiveBigIntegerField("size in bytes", editable=False)
    uploaded_at = models.DateTimeField("uploaded", default=timezone.now)

    class Meta:
        ordering = ["folder__name", "name", "pk"]

    def __str__(self) -> str:
        return self.title

    def save(self, *args, **kwargs) -> None:
        """Fill in what can be learned from the file, and save."""
        if not self.name:
            self.name = PurePosixPath(self.file.name).name
        if not self.content_type:
            self.content_type = mimetypes.guess_type(self.name)[0] or "application/octet-stream"
        # Queried each time: a ZIP declares this size, so it must be that of the file.
        self.size = self.file.size
        super().save(*args, **kwargs)

    @property
    def kind(self) -> str:
        """The content type, in words for people."""
        return KINDS.get(self.content_type, self.content_type)
