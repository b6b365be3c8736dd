"""The Django of the benchmarks: the site's settings, and a database in the folder of samples."""

from __future__ import annotations

from pathlib import Path

import django
from django.conf import settings

DATABASE = "albums.sqlite3"
MEDIA = "media"


def configure(folder: Path) -> None:
    """Set Django up for a folder of samples."""
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        DATABASES={
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / DATABASE},
        },
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=["django_stream_zip", "benchmarks"],
        MEDIA_ROOT=folder / MEDIA,
        ROOT_URLCONF="benchmarks.views",
        SECRET_KEY="of a site on loopback that lives for seconds",
        USE_TZ=True,
    )
    django.setup()
