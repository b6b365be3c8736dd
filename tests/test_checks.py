"""The system checks of the setting DJANGO_STREAM_ZIP."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks
from django.test import override_settings

from django_stream_zip import conf

STORAGE = "django.core.files.storage.FileSystemStorage"
READER = "django_stream_zip.members.readers.local.FileReader"


def ids_and_text(value: Any) -> list[tuple[str | None, str]]:
    with override_settings(DJANGO_STREAM_ZIP=value):
        messages = [m for m in run_checks() if (m.id or "").startswith("django_stream_zip.")]
    return [(message.id, f"{message.msg} {message.hint or ''}") for message in messages]


@pytest.mark.parametrize(
    "value",
    [
        {},
        {name: key.default for name, key in conf.KEYS.items()},
        {"CRC_32_CACHE": None, "CRC_32_CACHE_TIMEOUT": None, "COMPRESSION_LEVEL": -1},
        {"READERS": {STORAGE: READER}},
    ],
    ids=["nothing", "all defaults", "the other choices", "a reader"],
)
def test_good_settings_pass(value: dict[str, Any]) -> None:
    assert ids_and_text(value) == []


@pytest.mark.parametrize(
    ("value", "id_", "words"),
    [
        (["COMPRESSION_LEVEL"], "E001", "must be a dict, not list"),
        ({"COMPRESION_LEVEL": 6}, "E002", "Did you mean 'COMPRESSION_LEVEL'?"),
        ({"zzz": 6}, "E002", "Known are COMPRESSION_LEVEL, "),
        ({3: 6}, "E002", "has no key 3"),
        ({"COMPRESSION_LEVEL": 10}, "E003", "must be an integer from -1 to 9, or None, not 10"),
        ({"COMPRESSION_LEVEL": "6"}, "E003", "not '6'"),
        ({"COMPRESSION_LEVEL": True}, "E003", "not True"),
        ({"CRC_32_CACHE": "nowhere"}, "E003", "the alias of a cache in CACHES"),
        ({"CRC_32_CACHE_TIMEOUT": 0}, "E003", "1 or more"),
        ({"READERS": {STORAGE: f"{READER}s"}}, "E003", "which can be imported"),
        ({"READERS": {f"{STORAGE}s": READER}}, "E003", "which can be imported"),
        ({"READERS": {STORAGE: "os.path.join"}}, "E003", "to those of readers"),
        ({"READERS": [STORAGE]}, "E003", "a dict"),
        ({"READ_AHEAD_MEMBERS": 65}, "E003", "0 to 64"),
        ({"READ_AHEAD_BYTES": -1}, "E003", "0 or more"),
        ({"RELEASE_CONNECTIONS": "yes"}, "E003", "True or False"),
        ({"MAX_UNSENT_BYTES": -1}, "E003", "0 or more, or None"),
    ],
)
def test_a_wrong_setting_is_told(value: Any, id_: str, words: str) -> None:
    [(found, text)] = ids_and_text(value)
    assert found == f"django_stream_zip.{id_}"
    assert words in text


@pytest.mark.parametrize(
    ("backend", "ids"),
    [
        ("locmem.LocMemCache", []),
        ("dummy.DummyCache", []),
        ("filebased.FileBasedCache", ["django_stream_zip.W002"]),
        ("db.DatabaseCache", ["django_stream_zip.W002"]),
    ],
)
def test_a_cache_that_is_slower_than_reading_is_warned_of(
    backend: str, ids: list[str], tmp_path: Any
) -> None:
    fast = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    slow = {"BACKEND": f"django.core.cache.backends.{backend}", "LOCATION": str(tmp_path)}
    with override_settings(CACHES={"default": slow, "other": fast}):
        assert [id_ for id_, _ in ids_and_text({})] == ids
        assert ids_and_text({"CRC_32_CACHE": "other"}) == []
        assert ids_and_text({"CRC_32_CACHE": None}) == []


def test_settings_are_read_when_they_are_needed() -> None:
    assert conf.get("COMPRESSION_LEVEL") is None
    with override_settings(DJANGO_STREAM_ZIP={"COMPRESSION_LEVEL": 1}):
        assert conf.get("COMPRESSION_LEVEL") == 1
