"""Where members come from: files, bytes, storages and model fields.

Each builder gives a member, the tuple `(name, modified_at, mode, method, content)`, whose content
is a `content.Content`.
"""

from __future__ import annotations

from django_stream_zip.members.local import bytes_member, file_member
from django_stream_zip.members.storage import field_member, storage_member

__all__ = ["bytes_member", "field_member", "file_member", "storage_member"]
