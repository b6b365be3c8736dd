"""What all tests share: hypothesis' profiles, a storage that counts, nothing left behind."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Iterator
from typing import Any, cast

import pytest
from django.core.cache import caches
from django.core.files.storage import storages
from django.core.signals import request_finished
from django.db import close_old_connections
from django.utils import translation
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from tests.support.counting import CountingStorage

# No deadline, and no check of slowness: the time an example takes says more about the machine than
# about the code.
for _profile, _examples in {"short": 25, "nightly": 300}.items():
    hypothesis_settings.register_profile(
        _profile,
        deadline=None,
        derandomize=False,
        max_examples=_examples,
        suppress_health_check=[HealthCheck.too_slow],
    )
hypothesis_settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))

# Development mode has event loops warn of whatever takes a tenth of a second. On a busy machine
# anything does, and tests of what is logged would find it.
logging.getLogger("asyncio").addFilter(
    lambda record: not record.getMessage().startswith("Executing ")
)

# Fixtures that start what takes seconds: with xdist, the tests of each run in one process.
STARTED = ("database", "moto", "localstack", "swift", "google", "azure", "sshd", "node_modules")
# Modules whose tests share what was started, or look at what the whole machine has.
TOGETHER = ("test_example_on_s3", "test_example_project", "test_example_page")

# What is left to `-m matrix`: an S3 that shows what moto does, in four times as long, and the
# example project once more with its files on S3.
MATRIX = ("swift", "test_example_on_s3")


def pytest_collection_finish() -> None:
    """Leave modules and tests out of what is collected as garbage: some tests collect often."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Group the tests that share a server: `--dist loadgroup` keeps them together."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        module = item.path.stem
        if any(name in (*fixtures, module) for name in MATRIX):
            item.add_marker(pytest.mark.matrix)
        groups = [module] if module in TOGETHER else [name for name in STARTED if name in fixtures]
        for group in groups[:1]:
            item.add_marker(pytest.mark.xdist_group(group))


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
    """Return the default storage of this test, which the file fields of all models use."""
    counting = {"BACKEND": "tests.support.counting.CountingStorage"}
    settings.STORAGES = {**settings.STORAGES, "default": counting}
    return cast(CountingStorage, storages["default"])
