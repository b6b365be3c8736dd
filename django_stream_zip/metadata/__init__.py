"""Size, CRC-32, time and validator of files, kept in the rows that name them.

Imports go down: `fields` has the columns, `uploads` reads what is stored, and `tracking` knows
which file a row's metadata is of. With metadata in the row, members are made without a request to
the storage, and their archive has a length, ranges and complete headers. This room knows models
and their file fields, but neither members nor requests, and it queries no storage.
"""

from __future__ import annotations
