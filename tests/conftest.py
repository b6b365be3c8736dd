"""What all tests share: how long and how much hypothesis tries, and that connections stay."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from django.core.cache import caches
from django.core.signals import request_finished
from django.db import close_old_connections
from django.utils import translation
from hypothesis import settings

# No deadline: the time an example takes says more about the machine than about the code.
settings.register_profile("default", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=False, max_examples=50)
settings.load_profile("ci" if os.environ.get("CI") else "default")


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
