"""Puts the samples into the library, each only where it is missing."""

from __future__ import annotations

import tempfile

from django.core.files import File

from library.models import Document, Folder
from library.samples.catalogue import Sample, SampleFolder


def shelve(sample_folder: SampleFolder, *, small: bool) -> int:
    """Make one folder complete; returns how many files had to be made."""
    folder, _ = Folder.objects.get_or_create(
        slug=sample_folder.slug,
        defaults={"name": sample_folder.name, "description": sample_folder.description},
    )
    return sum(shelve_one(folder, sample) for sample in sample_folder.samples(small))


def shelve_one(folder: Folder, sample: Sample) -> bool:
    """Make one document, unless it is there with its file; returns whether it was made."""
    # The date belongs to it: two of the samples have the same name.
    key = {"folder": folder, "name": sample.name, "uploaded_at": sample.uploaded_at}
    document = Document.objects.filter(**key).first()
    if document is None:
        document = Document(title=sample.title, **key)
    elif document.file.storage.exists(document.file.name):
        return False
    with tempfile.TemporaryFile() as stream:
        sample.write(stream)
        document.file.save(sample.name, File(stream))
    return True
