"""The task of django.tasks (Django 6.0), or of its backport django-tasks.

Only imported where the setting ENQUEUE names nothing else. It names no queue and no backend.
"""

from __future__ import annotations

from typing import Any

from django_stream_zip.exports.engine import run_task

try:
    from django.tasks import task
except ImportError:  # Django 5.2
    from django_tasks import task

__all__ = ["zip_task"]


@task()
def zip_task(name: str, *arguments: Any) -> None:
    """Do what was enqueued."""
    run_task(name, *arguments)
