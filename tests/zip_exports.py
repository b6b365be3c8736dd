"""Recipes of the tests, which Django finds as it does those of any app."""

from __future__ import annotations

from typing import Any

from django.shortcuts import get_object_or_404

from django_stream_zip.exports import zip_export
from django_stream_zip.members import queryset_members
from tests.models import Document
from tests.support.rows import KNOWN


def may_see(user: Any, **arguments: Any) -> bool:
    """Allow users in whose name nobody has written that they may not, if there is such a title."""
    if arguments.get("title") == "gone":
        Document.objects.get(title="gone")
    if arguments.get("title") == "lost":
        get_object_or_404(Document, title="lost")
    return bool(user.is_active and user.first_name != "withdrawn")


@zip_export("documents", allowed=may_see)
def documents(*, title: str = "", options: Any = KNOWN) -> Any:
    """Return the documents whose titles begin like this, in an archive that is planned."""
    rows = Document.objects.filter(title__startswith=title).order_by("pk")
    return queryset_members(rows, name="{title}.pdf", compress=False, **options)


@zip_export("shared documents", allowed=may_see, shareable=True)
def shared_documents(*, title: str = "") -> Any:
    """Return the same; anybody who is given a link may have them."""
    return documents(title=title)


@zip_export("texts", allowed=may_see)
def texts(*, title: str = "") -> Any:
    """Return them in an archive of which nobody knows the length."""
    rows = Document.objects.filter(title__startswith=title).order_by("pk")
    return queryset_members(rows, name="{title}.txt", compress=True, missing="report")


@zip_export("failing", allowed=may_see)
def failing() -> Any:
    """Fail, in no way that anybody has foreseen."""
    raise OSError("a secret: the store is at /srv/secret")
