"""The settings of the site whose workers build exports; the environment says where all of it is."""

from __future__ import annotations

import json
import os
from pathlib import Path

import django

#: "folder", "database" if it isn't SQLite's, and the storages by their names: "near" is that of the
#: exports, without the way to it.
PLACES = json.loads(os.environ["EXPORTS_PLACES"])

SECRET_KEY = "of a site on loopback that lives for seconds"
_SQLITE = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": str(Path(PLACES["folder"]) / "exports.sqlite3"),
    "OPTIONS": {
        "timeout": 30,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    },
}
DATABASES = {"default": PLACES.get("database", _SQLITE)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django_stream_zip",
    "django_stream_zip.exports",
    "django_tasks_db",
    *(["django_tasks"] if django.VERSION < (6, 0) else []),
    "benchmarks",
]
ALLOWED_HOSTS = ["127.0.0.1"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
ROOT_URLCONF = "benchmarks.exports_urls"
STATIC_URL = "/static/"
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
STORAGES = {
    **{name: PLACES[name] for name in ("default", "exports", "near") if name in PLACES},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
DJANGO_STREAM_ZIP = {"EXPORT_STORAGE": "exports", "CRC_32_CACHE": None}
