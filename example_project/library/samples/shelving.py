"""Adding the samples to the library, each only where it is missing."""

from __future__ import annotations

from django.core.files import File

from library.models import Document, Folder
from library.samples.catalogue import Sample, SampleFolder, samples


def shelve(sample_folder: SampleFolder, *, small: bool) -> int:
    """Add the missing documents to a folder, and return how many they were."""
    folder, _ = Folder.objects.get_or_create(
        slug=sample_folder.slug,
        defaults={"name": sample_folder.name, "description": sample_folder.description},
    )
    return sum(shelve_one(folder, sample) for sample in samples(sample_folder.slug, small=small))


def shelve_one(folder: Folder, sample: Sample) -> bool:
    """Add a document unless it is there with its file, and return whether it was added."""
    # With the date: two of the samples have the same name.
    key = {"folder": folder, "name": sample.name, "uploaded_at": sample.uploaded_at}
    document = Document.objects.filter(**key).first()
    if document is None:
        document = Document(title=sample.title, **key)
    elif document.file.storage.exists(document.file.name):
        return False
    with sample.open() as stream:
        document.file.save(sample.name, File(stream))
    return True
