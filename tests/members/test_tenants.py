"""Storages that ask around who the request is for: which file it is, is settled with the member."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.core.files.storage import FileSystemStorage, storages

from django_stream_zip.members import (
    aqueryset_members,
    field_member,
    lazy_queryset_members,
    queryset_members,
    storage_member,
)
from tests.models import Document
from tests.support.rows import contents_of

pytestmark = pytest.mark.django_db

TIME = datetime(2024, 2, 29, tzinfo=UTC)
tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


class TenantStorage(FileSystemStorage):
    """Keeps each tenant's files in a folder of its own."""

    root = Path()

    @property
    def base_location(self) -> str:  # type: ignore[override]
        return str(self.root / tenant.get())

    @property
    def location(self) -> str:  # type: ignore[override]
        return self.base_location


@contextmanager
def serving(name: str) -> Iterator[None]:
    """Do what middleware does."""
    token = tenant.set(name)
    try:
        yield
    finally:
        tenant.reset(token)


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a file of one name, size and time for each of two tenants, and nothing elsewhere."""
    for name in ("me", "you"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.txt").write_text(f"{name:3}")
    monkeypatch.setattr(TenantStorage, "root", tmp_path)
    backend = {"BACKEND": f"{__name__}.TenantStorage"}
    settings.STORAGES = {**settings.STORAGES, "default": backend}
    Document.objects.create(file="x.txt", size=3, uploaded_at=TIME)


Known = dict[str, Any]
BUILDERS: dict[str, Callable[[bool], Any]] = {
    "queryset_members": lambda known: queryset_members(Document.objects.all(), **columns_if(known)),
    "aqueryset_members": lambda known: async_to_sync(aqueryset_members)(
        Document.objects.all(), **columns_if(known)
    ),
    "lazy_queryset_members": lambda known: lazy_queryset_members(
        Document.objects.all(), **columns_if(known)
    ),
    "field_member": lambda known: [field_member(Document.objects.get().file, **values_if(known))],
    "storage_member": lambda known: [
        storage_member(storages["default"], "x.txt", **values_if(known))
    ],
}


def columns_if(known: bool) -> Known:
    return {"size": "size", "modified_at": "uploaded_at"} if known else {}


def values_if(known: bool) -> Known:
    return {"size": 3, "modified_at": TIME} if known else {}


@pytest.mark.parametrize("build", BUILDERS.values(), ids=BUILDERS)
@pytest.mark.parametrize("known", [False, True], ids=["asked", "known"])
def test_the_file_is_that_of_the_tenant_for_whom_the_member_was_made(
    build: Any, known: bool
) -> None:
    with serving("me"):
        members = build(known)
    with serving("you"):
        assert contents_of(members) == {"x.txt": b"me "}
    assert build is BUILDERS["lazy_queryset_members"] or contents_of(members) == {"x.txt": b"me "}


def test_pages_are_made_for_the_tenant_for_whom_they_were_asked() -> None:
    Document.objects.bulk_create(Document(file="x.txt") for _ in range(1500))
    with serving("me"):
        members = lazy_queryset_members(Document.objects.all())
    contents = []
    for member in members:
        with serving("you"):
            contents.append(b"".join(member[4]))
    assert contents == [b"me "] * 1501


def test_a_callable_names_for_the_tenant_too() -> None:
    with serving("me"):
        members = lazy_queryset_members(Document.objects.all(), name=lambda row: tenant.get())
    with serving("you"):
        assert [member[0] for member in members] == ["me"]


def test_what_is_closed_early_is_closed_in_its_context() -> None:
    Document.objects.create(file="x.txt")
    with serving("me"):
        members: Any = lazy_queryset_members(Document.objects.all())
    with serving("you"):
        assert contents_of([next(members)]) == {"x.txt": b"me "}
        members.close()
        assert list(members) == []
