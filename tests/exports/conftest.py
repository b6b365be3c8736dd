"""Exports of a test have a folder and an engine of their own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import exports as support


@pytest.fixture
def root(tmp_path: Path, settings: Any) -> Path:
    """Give the folder that is the exports' storage; parts and tasks are small."""
    folder = tmp_path / "exports"
    backend = "django.core.files.storage.FileSystemStorage"
    settings.STORAGES = {
        **settings.STORAGES,
        "exports": {"BACKEND": backend, "OPTIONS": {"location": str(folder)}},
    }
    settings.DJANGO_STREAM_ZIP = {
        "ENQUEUE": "tests.support.exports.keep",
        "EXPORT_STORAGE": "exports",
        "EXPORT_PART_SIZE": 1000,
        "EXPORT_TASK_BYTES": 3000,
    }
    return folder


@pytest.fixture(autouse=True)
def _queue_is_empty() -> Iterator[None]:
    support.queue.clear()
    yield
    support.queue.clear()
