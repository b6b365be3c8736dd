"""The task of django.tasks (Django 6.0), or of its backport django-tasks.

Only imported where the setting ENQUEUE names nothing else. It names no queue and no backend.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import django

from django_stream_zip.exports.engine import run_task

__all__ = ["zip_task"]

_tasks: Any = import_module("django.tasks" if django.VERSION >= (6, 0) else "django_tasks")


@_tasks.task()  # type: ignore[untyped-decorator]
def zip_task(name: str, *arguments: Any) -> None:
    """Do what was enqueued."""
    run_task(name, *arguments)
