"""Settings of the site that the servers serve: tests.settings, with the middleware that meddles."""

from __future__ import annotations

from tests.settings import *  # noqa: F403

ROOT_URLCONF = "tests.servers.site"
INSTALLED_APPS = ["django_stream_zip"]

# Each of these spoils an archive that does not guard itself: its length, its tag or its bytes.
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
    "django.middleware.common.CommonMiddleware",
]

# For those who say who they are, by `user` in the query string.
DJANGO_STREAM_ZIP = {"MAX_DOWNLOADS_PER_USER": 2}

# A line of the package's own logger begins with its name, so that the tests can count them.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"named": {"format": "%(name)s %(levelname)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "named"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
}
