"""The system checks of the setting DJANGO_STREAM_ZIP."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.test import RequestFactory, override_settings
from packaging.requirements import Requirement

import django_stream_zip
from django_stream_zip import conf
from django_stream_zip.members import bytes_member, queryset_members
from django_stream_zip.response import zip_response
from tests.models import Document

# Since Django 6.1 the check of a JSONField asks the database what it can.
pytestmark = pytest.mark.django_db

PACKAGE = Path(django_stream_zip.__file__).parent

STORAGE = "django.core.files.storage.FileSystemStorage"
READER = "django_stream_zip.members.readers.local.FileReader"
WRITER = "django_stream_zip.saving.writers.generic.GenericWriter"


def ids_and_text(value: Any) -> list[tuple[str | None, str]]:
    # Without an engine, exports have something to say, too: see `exports/test_checks.py`.
    if isinstance(value, dict):
        value = {"ENQUEUE": "tests.support.exports.keep", **value}
    with override_settings(DJANGO_STREAM_ZIP=value):
        messages = [m for m in run_checks() if (m.id or "").startswith("django_stream_zip.")]
    return [(message.id, f"{message.msg} {message.hint or ''}") for message in messages]


@pytest.mark.parametrize(
    "value",
    [
        {},
        {name: key.default for name, key in conf.KEYS.items() if name != "ENQUEUE"},
        {"CRC_32_CACHE": None, "CRC_32_CACHE_TIMEOUT": None, "COMPRESSION_LEVEL": -1},
        {"READERS": {STORAGE: READER}},
        {"WRITERS": {STORAGE: WRITER}},
    ],
    ids=["nothing", "all defaults", "the other choices", "a reader", "a writer"],
)
def test_good_settings_pass(value: dict[str, Any]) -> None:
    assert ids_and_text(value) == []


WRONG = [
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
    ({"WRITERS": {STORAGE: READER}}, "E003", "to those of writers"),
    ({"READERS": [STORAGE]}, "E003", "a dict"),
    ({"PREFETCH_MEMBERS": 65}, "E003", "0 to 64"),
    ({"PREFETCH_BYTES": -1}, "E003", "0 or more"),
    ({"RELEASE_CONNECTIONS": "yes"}, "E003", "True or False"),
    ({"MAX_UNSENT_BYTES": -1}, "E003", "0 or more, or None"),
]


@pytest.mark.parametrize(("value", "id_", "words"), WRONG)
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


# Servers don't run the checks.


@pytest.mark.parametrize("value", [value for value, id_, _ in WRONG if id_ != "E002"], ids=str)
def test_a_wrong_setting_is_an_error_with_the_words_of_the_check(value: Any) -> None:
    [(_, said)] = ids_and_text(value)
    [key] = value
    with (
        override_settings(DJANGO_STREAM_ZIP=value),
        pytest.raises(ImproperlyConfigured, match=f"^{re.escape(said.strip())}$"),
    ):
        conf.get(key)


def test_a_wrong_setting_is_an_error_each_time() -> None:
    with override_settings(DJANGO_STREAM_ZIP={"WORKERS": "2"}):
        for _ in range(2):
            with pytest.raises(ImproperlyConfigured, match="must be a number of threads, 0 to 64"):
                conf.get("WORKERS")
    with override_settings(DJANGO_STREAM_ZIP={"WORKERS": 2}):
        assert conf.get("WORKERS") == 2
    assert conf.get("WORKERS") == 0


def test_other_keys_work_beside_a_wrong_one() -> None:
    with override_settings(DJANGO_STREAM_ZIP={"READERS": 5, "WORKERS": 2, "WORKRES": 3}):
        assert conf.get("WORKERS") == 2


def test_a_value_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    key = conf.KEYS["MAX_MEMBERS"]._replace(is_valid=lambda value: seen.append(value) or True)
    monkeypatch.setitem(conf.KEYS, "MAX_MEMBERS", key)
    for value in (500, 501):
        with override_settings(DJANGO_STREAM_ZIP={"MAX_MEMBERS": value}):
            assert [conf.get("MAX_MEMBERS") for _ in range(3)] == [value] * 3
    assert seen == [500, 501]


def test_a_wrong_limit_is_said_where_members_are_made() -> None:
    with (
        override_settings(DJANGO_STREAM_ZIP={"MAX_MEMBERS": "5"}),
        pytest.raises(ImproperlyConfigured, match="must be a number, 1 or more, or None, not '5'"),
    ):
        queryset_members(Document.objects.all())


@pytest.mark.parametrize("key", ["WORKERS", "PREFETCH_MEMBERS", "PREFETCH_BYTES"])
def test_a_wrong_number_is_said_before_the_headers(key: str) -> None:
    with (
        override_settings(DJANGO_STREAM_ZIP={key: "5"}),
        pytest.raises(ImproperlyConfigured, match=f"{key}.* must be .*, not '5'"),
    ):
        zip_response(RequestFactory().get("/"), [bytes_member(b"x", "a.jpg")])


# The page of the settings has them all.


# Django's own security issues are the concern of who installs it with this package.


@pytest.mark.parametrize("first", ["5.2.19", "6.0.10", "6.1.3"])
def test_a_django_with_known_security_issues_is_not_installed(first: str) -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    [django] = [r for r in map(Requirement, project["dependencies"]) if r.name == "django"]
    series, _, patch = first.rpartition(".")
    releases = [series, *[f"{series}.{number}" for number in range(1, 99)]]
    assert list(django.specifier.filter(releases)) == releases[int(patch) :]
    assert first in (PACKAGE.parent / "docs" / "deployment.rst").read_text()
