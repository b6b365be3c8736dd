"""What the tests of the database side share: a storage that counts."""

from __future__ import annotations

from typing import Any, cast

import pytest
from django.core.files.storage import storages

from tests.database.storages import CountingStorage


@pytest.fixture
def storage(settings: Any) -> CountingStorage:
    """Give the default storage of this test, which the file fields of all models use."""
    counting = {"BACKEND": "tests.database.storages.CountingStorage"}
    settings.STORAGES = {**settings.STORAGES, "default": counting}
    return cast(CountingStorage, storages["default"])
