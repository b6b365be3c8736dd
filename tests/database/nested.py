"""A program: lazy members of each of many rows, within a loop that still reads these rows.

It prints what it found, as JSON. The database is named by the environment.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Iterator
from typing import Any

import django
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from tests import settings as test_settings

FOLDERS, FILES = 300, 3


def main() -> None:
    """Fill the database, and read each way's archive."""
    values = {name: value for name, value in vars(test_settings).items() if name.isupper()}
    storage = {"BACKEND": "tests.support.counting.SmallStorage"}
    values["STORAGES"] = {**values["STORAGES"], "default": storage}
    values["DATABASES"] = {"default": json.loads(os.environ["NESTED_DATABASE"])}
    settings.configure(**values)
    django.setup()
    # The tables without migrations come second: they refer to those that have some.
    call_command("migrate", verbosity=0)
    call_command("migrate", run_syncdb=True, verbosity=0)
    fill()
    print(json.dumps({"nested": read(nested()), "alone": read(alone())}))


def fill() -> None:
    """Make folders with documents."""
    from tests.models import Document, Folder

    folders = Folder.objects.bulk_create(Folder(name=str(n)) for n in range(FOLDERS))
    Document.objects.bulk_create(
        Document(folder=folder, file=f"{folder.name}-{n}.jpg")
        for folder in folders
        for n in range(FILES)
    )


def nested() -> Iterator[Any]:
    """Yield the members of one folder after the other."""
    from django_stream_zip.members import lazy_queryset_members
    from tests.models import Folder

    for folder in Folder.objects.order_by("pk").iterator(chunk_size=50):
        yield from lazy_queryset_members(folder.document_set.all(), "file")


def alone() -> Iterator[Any]:
    """Return the members of all folders."""
    from django_stream_zip.members import lazy_queryset_members
    from tests.models import Document

    return lazy_queryset_members(Document.objects.all())


def read(members: Iterator[Any]) -> dict[str, Any]:
    """Return how many files an archive has, and whether a connection was open meanwhile."""
    from django.test import RequestFactory

    from django_stream_zip.response import zip_response

    response: Any = zip_response(RequestFactory().get("/"), members)
    archive, was_open = b"", set()
    for block in response.streaming_content:
        archive += block
        was_open.add(connection.connection is not None)
    response.close()
    files = len(zipfile.ZipFile(io.BytesIO(archive)).namelist())
    return {
        "files": files,
        "was_open": sorted(was_open),
        "is_open": connection.connection is not None,
    }


if __name__ == "__main__":
    main()
