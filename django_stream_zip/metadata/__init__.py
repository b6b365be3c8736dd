"""Size, CRC-32, time and validator of files, kept in the rows that name them."""

from __future__ import annotations
