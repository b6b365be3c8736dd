"""Settings of the site; the environment says where it is and which engine it has."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import django

FOLDER = Path(os.environ["EXPORTS_SITE"])
ENGINE = os.environ["EXPORTS_ENGINE"]

SECRET_KEY = "for the tests"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(FOLDER / "db.sqlite3"),
        "OPTIONS": {
            "timeout": 30,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django_stream_zip",
    "django_stream_zip.exports",
    "tests.exports.site",
]
USE_TZ = True
STORE = "tests.exports.site.stores.Store"
STORAGES = {"default": {"BACKEND": STORE, "OPTIONS": {"location": str(FOLDER / "stored")}}}

DJANGO_STREAM_ZIP: dict[str, Any] = {
    "EXPORT_PART_SIZE": 64 << 10,
    "EXPORT_TASK_BYTES": 512 << 10,
    "EXPORT_STALLED_AFTER": 2,
    "EXPORT_ATTEMPTS": 100,
    "WRITERS": {STORE: f"{STORE}Writer"},
}
if ENGINE == "django.tasks":
    INSTALLED_APPS += ["django_tasks_db"]
    if django.VERSION < (6, 0):
        INSTALLED_APPS += ["django_tasks"]
    TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
else:
    DJANGO_STREAM_ZIP["ENQUEUE"] = "tests.exports.site.celery.zip_task.delay"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
}
