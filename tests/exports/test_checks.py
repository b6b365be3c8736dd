"""The system checks of exports."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import django
import pytest
from django.core.checks import run_checks
from django.test import override_settings

# Since Django 6.1 the check of a JSONField asks the database what it can.
pytestmark = pytest.mark.django_db

KEEP = "tests.support.exports.keep"
FILES = "django.core.files.storage.FileSystemStorage"


def found(**settings: Any) -> list[tuple[str | None, str]]:
    with override_settings(**settings):
        messages = [m for m in run_checks() if (m.id or "").startswith("django_stream_zip.")]
    return [(message.id, str(message.msg)) for message in messages]


def storages(location: Path) -> dict[str, Any]:
    memory = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    files = {"BACKEND": FILES, "OPTIONS": {"location": str(location)}}
    return {"default": memory, "staticfiles": memory, "exports": files}


def test_an_engine_of_the_site_is_enough() -> None:
    assert found(DJANGO_STREAM_ZIP={"ENQUEUE": KEEP}) == []


@pytest.mark.skipif(django.VERSION >= (6, 0), reason="it brings an engine")
@pytest.mark.skipif(find_spec("django_tasks") is not None, reason="it brings an engine")
def test_without_an_engine_nothing_is_built() -> None:
    [(check, text)] = found(DJANGO_STREAM_ZIP={})
    assert check == "django_stream_zip.E007"
    assert "No module named 'django_tasks'" in text


@pytest.mark.skipif(django.VERSION < (6, 0), reason="django.tasks came with 6.0")
@pytest.mark.parametrize(
    ("backend", "debug", "expected"),
    [
        ("immediate.ImmediateBackend", False, "ImmediateBackend builds exports within the request"),
        ("dummy.DummyBackend", False, "DummyBackend builds no exports"),
        ("immediate.ImmediateBackend", True, None),
    ],
)
def test_a_backend_without_workers_is_for_development(
    backend: str, debug: bool, expected: str | None
) -> None:
    tasks = {"default": {"BACKEND": f"django.tasks.backends.{backend}"}}
    messages = found(DJANGO_STREAM_ZIP={}, TASKS=tasks, DEBUG=debug)
    assert messages == ([("django_stream_zip.W003", f"{expected}.")] if expected else [])


@pytest.mark.parametrize(
    ("folder", "media_url", "is_public"),
    [("media", "/media/", True), ("media/deep", "/media/", True), ("other", "/media/", False)],
)
def test_a_public_folder_is_no_place(
    folder: str, media_url: str, is_public: bool, tmp_path: Path
) -> None:
    messages = found(
        DJANGO_STREAM_ZIP={"ENQUEUE": KEEP, "EXPORT_STORAGE": "exports"},
        STORAGES=storages(tmp_path / folder),
        MEDIA_ROOT=str(tmp_path / "media"),
        MEDIA_URL=media_url,
    )
    assert [check for check, _ in messages] == ["django_stream_zip.W004"] * is_public


@pytest.mark.parametrize(
    ("size", "most", "expected"),
    [
        (8 << 20, None, []),
        (1 << 20, None, ["django_stream_zip.E008"]),
        (5 << 20, 40 << 30, []),
        (5 << 20, 60 << 30, ["django_stream_zip.E008"]),
    ],
    ids=["fits", "too small for S3", "fits what is allowed", "too small for what is allowed"],
)
def test_parts_must_fit(size: int, most: int | None, expected: list[str]) -> None:
    pytest.importorskip("boto3")
    pytest.importorskip("storages")
    s3 = {"BACKEND": "storages.backends.s3.S3Storage", "OPTIONS": {"bucket_name": "b"}}
    messages = found(
        DJANGO_STREAM_ZIP={
            "ENQUEUE": KEEP,
            "EXPORT_STORAGE": "exports",
            "EXPORT_PART_SIZE": size,
            "MAX_BYTES": most,
        },
        STORAGES={**storages(Path("/x")), "exports": s3},
    )
    assert [check for check, _ in messages] == expected


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ENQUEUE", "nowhere.at.all"),
        ("ENQUEUE", "tests.support.exports.queue"),
        ("EXPORT_STORAGE", "nowhere"),
        ("EXPORT_FOLDER", "../up"),
        ("EXPORT_FOLDER", "/absolute"),
        ("EXPORT_FOLDER", ""),
        ("EXPORT_SENDFILE", "X-Sendfile"),
        ("EXPORT_SENDFILE", ("X-Other", "/")),
        ("EXPORT_MAX_AGE", 0),
        ("EXPORT_MODEL", "ZipExport"),
    ],
)
def test_a_wrong_value_is_found(key: str, value: Any) -> None:
    messages = found(DJANGO_STREAM_ZIP={"ENQUEUE": KEEP, key: value})
    assert [check for check, _ in messages] == ["django_stream_zip.E003"]
