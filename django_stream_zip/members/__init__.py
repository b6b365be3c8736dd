"""Where members come from: files, bytes, storages, model fields and querysets.

Each builder returns a member, the tuple `(name, modified_at, mode, method, content)`, whose content
is a `content.Content`.
"""

from __future__ import annotations

from django_stream_zip.members.async_member import async_member
from django_stream_zip.members.errors import (
    DownloadTooLargeError,
    TooManyBytesError,
    TooManyMembersError,
)
from django_stream_zip.members.files import bytes_member, file_member
from django_stream_zip.members.listing import folder_members, storage_members
from django_stream_zip.members.queryset import (
    aqueryset_members,
    lazy_queryset_members,
    queryset_members,
)
from django_stream_zip.members.storage import field_member, storage_member

__all__ = [
    "DownloadTooLargeError",
    "TooManyBytesError",
    "TooManyMembersError",
    "aqueryset_members",
    "async_member",
    "bytes_member",
    "field_member",
    "file_member",
    "folder_members",
    "lazy_queryset_members",
    "queryset_members",
    "storage_member",
    "storage_members",
]
