"""The library app: folders of documents, and their download as ZIP."""

from __future__ import annotations

from django.apps import AppConfig


class LibraryConfig(AppConfig):
    """Names the app in the admin."""

    name = "library"
    verbose_name = "Document library"
