"""What can be prepared in the background: recipes, which django_stream_zip finds in this module."""

from __future__ import annotations

from typing import Any

from django_stream_zip.exports import zip_export
from django_stream_zip.members import queryset_members
from library.models import Document
from library.views import MEMBER_OPTIONS


def may_have_folder(user: Any, *, slug: str) -> bool:
    """Return whether a user may have the documents of a folder.

    Here they are for everybody; a site of yours asks whose they are. It is asked again at each
    download, so somebody who was locked out meanwhile gets nothing.
    """
    return user.is_active


@zip_export("folder", allowed=may_have_folder)
def folder_members(*, slug: str) -> Any:
    """Return the documents of a folder as members: the same ones as its download has."""
    return queryset_members(Document.objects.filter(folder__slug=slug), "file", **MEMBER_OPTIONS)
