"""What all tests share: hypothesis' profiles, a storage that counts, nothing left behind."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, cast

import pytest
from django.core.cache import caches
from django.core.files.storage import storages
from django.core.signals import request_finished
from django.db import close_old_connections
from django.utils import translation
from hypothesis import settings as hypothesis_settings

from tests.support.counting import CountingStorage

# No deadline: the time an example takes says more about the machine than about the code.
hypothesis_settings.register_profile("default", deadline=None)
hypothesis_settings.register_profile("ci", deadline=None, derandomize=False, max_examples=50)
hypothesis_settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(autouse=True)
def _connections_stay() -> Iterator[None]:
    """Leave the tests' own connections alone when a response is closed, as Django's Client does."""
    request_finished.disconnect(close_old_connections)
    yield
    request_finished.connect(close_old_connections)


@pytest.fixture(autouse=True)
def _no_language_stays() -> Iterator[None]:
    """Have no test find the language that LocaleMiddleware left active in this thread."""
    yield
    translation.deactivate()


@pytest.fixture(autouse=True)
def _caches_are_empty() -> None:
    """Have no test find the checksums that another one's contents of the same name left."""
    for cache in caches.all(initialized_only=True):
        cache.clear()


@pytest.fixture
def storage(settings: Any) -> CountingStorage:
    """Give the default storage of this test, which the file fields of all models use."""
    counting = {"BACKEND": "tests.support.counting.CountingStorage"}
    settings.STORAGES = {**settings.STORAGES, "default": counting}
    return cast(CountingStorage, storages["default"])
