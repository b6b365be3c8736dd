"""The settings of the site whose workers build exports; the environment says where all of it is."""

from __future__ import annotations

import json
import os
from pathlib import Path

import django

#: "folder", and the storages by their names: "near" is that of the exports without the way to it.
PLACES = json.loads(os.environ["EXPORTS_PLACES"])

SECRET_KEY = "of a site on loopback that lives for seconds"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(Path(PLACES["folder"]) / "exports.sqlite3"),
        "OPTIONS": {
            "timeout": 30,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django_stream_zip",
    "django_stream_zip.exports",
    "django_tasks_db",
    *(["django_tasks"] if django.VERSION < (6, 0) else []),
    "benchmarks",
]
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
STORAGES = {name: PLACES[name] for name in ("default", "exports", "near")}
DJANGO_STREAM_ZIP = {"EXPORT_STORAGE": "exports", "CRC_32_CACHE": None}
