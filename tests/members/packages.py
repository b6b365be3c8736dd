"""A program: members of rows of other packages' models. Prints what was in them, as JSON.

The first argument is the package. Each has a process of its own, as it has to be installed as an
app; the second is a folder for its files.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.files.base import ContentFile
from django.core.management import call_command
from django.db import connection, models

from tests import settings as test_settings

Contents = dict[str, str]


def main(package: str, folder: Path) -> None:
    """Print what the package's rows are packed as."""
    way, apps = PACKAGES[package]
    values = {name: value for name, value in vars(test_settings).items() if name.isupper()}
    values["INSTALLED_APPS"] = [*values["INSTALLED_APPS"], *apps]
    storage = {"BACKEND": "django.core.files.storage.FileSystemStorage"}
    values["STORAGES"] = {**values["STORAGES"], "default": storage}
    settings.configure(**values, MEDIA_ROOT=str(folder / "media"), MEDIA_URL="/media/")
    django.setup()
    call_command("migrate", run_syncdb=True, verbosity=0)
    print(json.dumps(way(folder)))


def contents_of(members: Iterable[Any]) -> Contents:
    """Read the members."""
    return {name: b"".join(content).decode() for name, _, _, _, content in members}


def both_ways(rows: Any, *fields: str, **options: Any) -> list[Contents]:
    """Return what both forms of the adapter make of rows."""
    from django_stream_zip.members import lazy_queryset_members, queryset_members

    builders = (queryset_members, lazy_queryset_members)
    return [contents_of(build(rows, *fields, **options)) for build in builders]


def filer(folder: Path) -> Any:
    """Pack files that are public and private, of one name, and those of a folder."""
    from filer.models import File, Folder

    field = File._meta.get_field("file")
    top = Folder.objects.create(name="top")
    for kind in ("public", "private"):
        field.storages[kind].save("x.txt", ContentFile(kind.encode()))
        made = File(is_public=kind == "public", original_filename="x.txt", folder=top)
        made.save()
        File.objects.filter(pk=made.pk).update(file="x.txt")
    opened = [row.file.open().read().decode() for row in File.objects.order_by("pk")]
    return {
        "opened": opened,
        "files": both_ways(File.objects.order_by("pk")),
        "only": both_ways(File.objects.only("file").order_by("pk"), limit=5),
        "folder": both_ways(Folder.objects.all(), "all_files__file"),
    }


def polymorphic(folder: Path) -> Any:
    """Pack files whose storage the class of the row decides on."""
    from django.core.files.storage import FileSystemStorage
    from django.db.models.fields.files import FieldFile
    from polymorphic.models import PolymorphicModel

    class ByClass(FieldFile):
        def __init__(self, instance: Any, field: Any, name: str | None) -> None:
            super().__init__(instance, field, name)
            self.storage = FileSystemStorage(folder / instance.place)

    class ByClassField(models.FileField):
        attr_class = ByClass

    class Medium(PolymorphicModel):
        place = "media"
        file = ByClassField()

        class Meta:
            app_label = "tests"

    class Record(Medium):
        place = "records"

        class Meta:
            app_label = "tests"

    for place in ("media", "records"):
        FileSystemStorage(folder / place).save("x.txt", ContentFile(place.encode()))
    create(Medium, Record)
    Medium.objects.create(file="x.txt"), Record.objects.create(file="x.txt")
    return both_ways(Medium.objects.order_by("pk"))


def safedelete(folder: Path) -> Any:
    """Pack rows that are deleted softly, and those that aren't."""
    from django.core.files.storage import default_storage
    from safedelete.models import SafeDeleteModel

    from tests.models import Folder

    class Paper(SafeDeleteModel):
        folder = models.ForeignKey(Folder, models.CASCADE, related_name="papers")
        file = models.FileField()

        class Meta:
            app_label = "tests"

    create(Paper)
    top = Folder.objects.create(name="top")
    for name in ("kept.txt", "gone.txt"):
        default_storage.save(name, ContentFile(name.encode()))
        Paper.objects.create(file=name, folder=top)
    Paper.objects.get(file="gone.txt").delete()
    return {
        "seen": both_ways(Paper.objects.all()),
        "limited": both_ways(Paper.objects.all(), limit=1),
        "all": both_ways(Paper.all_objects.order_by("pk")),
        "related": both_ways(Folder.objects.all(), "papers__file"),
    }


def tenants(folder: Path) -> Any:
    """Pack a tenant's file, and read it while another one is served."""
    from datetime import UTC, datetime

    from django_tenants.files.storage import TenantFileSystemStorage

    from django_stream_zip.members import storage_member

    storage, held = TenantFileSystemStorage(), {}
    tenant: Any = connection  # what django-tenants' backends and middleware set
    for name in ("you", "me"):
        tenant.schema_name = name
        storage.save("x.txt", ContentFile(f"{name:3}"))
    known = {"size": 3, "modified_at": datetime(2024, 2, 29, tzinfo=UTC)}
    for options in ({}, known):
        tenant.schema_name = "me"
        members = [storage_member(storage, "x.txt", **options)]
        tenant.schema_name = "you"
        held["known" if options else "asked"] = contents_of(members)
    return held


def create(*of: type[models.Model]) -> None:
    """Make the tables of models."""
    with connection.schema_editor() as editor:
        for model in of:
            editor.create_model(model)


# What each package is tried by, and the apps that it needs.
def simple_history(folder: Path) -> Any:
    """Pack what historical rows name: their column is a text, and holds the stored name."""
    from simple_history.models import HistoricalRecords

    from django_stream_zip.members import queryset_members, storage_member

    class Charter(models.Model):
        file = models.FileField()
        history = HistoricalRecords()

        class Meta:
            app_label = "tests"

    with connection.schema_editor() as editor:
        editor.create_model(Charter)
        editor.create_model(Charter.history.model)
    made = Charter.objects.create(file=ContentFile(b"first", "a.txt"))
    made.file = ContentFile(b"second", "b.txt")
    made.save()
    storage = Charter._meta.get_field("file").storage
    rows = made.history.order_by("history_id")
    try:
        queryset_members(rows, "file")
    except ValueError as error:
        refused = str(error)
    return {
        "refused": refused,
        "history": both_ways(rows, "file", storage=storage, name="{history_type}{basename}"),
        "as of": contents_of([storage_member(storage, str(rows[0].instance.file))]),
    }


PACKAGES: dict[str, tuple[Callable[[Path], Any], list[str]]] = {
    "filer": (filer, ["easy_thumbnails", "polymorphic", "filer"]),
    "polymorphic": (polymorphic, ["polymorphic"]),
    "safedelete": (safedelete, ["safedelete"]),
    "django_tenants": (tenants, []),
    "simple_history": (simple_history, ["simple_history"]),
}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
