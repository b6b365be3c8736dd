"""Settings of the example: a small document library for one person's own machine.

The example writes to one folder only: `demo-data` beside `manage.py`, or the one that the
environment variable `DEMO_DATA` names. With `DEMO_STORAGE=s3`, the files go to S3.
Archives are prepared in the background where the packages for that are installed.
"""

from __future__ import annotations

import os
from pathlib import Path

import django
from django.core.exceptions import ImproperlyConfigured

from project import background, storage

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("DEMO_DATA") or BASE_DIR / "demo-data").resolve()
# SQLite creates its file but not the folder.
try:
    DATA_DIR.mkdir(parents=True, exist_ok=True)
except OSError as error:
    raise ImproperlyConfigured(
        f"The folder for the demo's data can't be created: {error.strerror}: '{DATA_DIR}'."
        " Set DEMO_DATA to another one."
    ) from error

# For the demo only: a site of your own keeps its key secret, and has DEBUG off.
SECRET_KEY = "demo-only-this-key-is-public-and-protects-nothing"
DEBUG = True
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_stream_zip",
    # Before the exports, whose pages get the library's look from its templates.
    "library",
    *background.APPS,
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "library.middleware.NotFoundMiddleware",
]

ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
ASGI_APPLICATION = "project.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

STORAGE = storage.chosen()
STORAGE_PLACE = storage.CHOICES[STORAGE].place
S3_BUCKET = storage.S3_BUCKET
# Whether the command `demo` starts the S3, because the environment names none.
STARTS_S3 = storage.is_to_be_started(STORAGE)
STORAGES = {
    "default": storage.CHOICES[STORAGE].setting,
    # Not in MEDIA_ROOT: an archive is for the user who had it prepared.
    "exports": storage.CHOICES[STORAGE].exports(DATA_DIR),
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / storage.CHOICES[STORAGE].database,
        # For several processes, the server and the worker: they wait for each other.
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL",
        },
    },
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

MEDIA_ROOT = DATA_DIR / "media"
MEDIA_URL = "media/"
STATIC_URL = "static/"

# Whether there is a task engine, with workers that prepare archives.
BACKGROUND = not background.MISSING
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}} if BACKGROUND else {}
DJANGO_STREAM_ZIP = {
    "EXPORT_STORAGE": "exports",
    # The demo looks once, when it starts, for what a killed worker has left: 5 minutes, as by
    # default, would be too long for that.
    "EXPORT_STALLED_AFTER": 10,
}

LOGIN_URL = "library:login"
LOGIN_REDIRECT_URL = "library:index"
# Mails are printed. The links in them need an address, which the command `demo` knows.
if django.VERSION >= (6, 1):
    MAILERS = {"default": {"BACKEND": "django.core.mail.backends.console.EmailBackend"}}
else:
    EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
DEFAULT_FROM_EMAIL = "library@example.com"
SITE_URL = os.environ.get("DEMO_URL") or "http://127.0.0.1:8000"

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "Europe/Helsinki"
USE_TZ = True
