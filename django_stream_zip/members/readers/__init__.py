"""How the files of each kind of storage are read: streamed, from any position, as they were seen.

`storage.open()` would do for all of them, but most remote ones load the whole file first.
"""

from __future__ import annotations

from django_stream_zip.members.readers.reader import Metadata, Reader, kept_validator
from django_stream_zip.members.readers.table import reader_for, register_reader

__all__ = ["Metadata", "Reader", "kept_validator", "reader_for", "register_reader"]
