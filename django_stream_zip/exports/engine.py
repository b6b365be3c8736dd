"""The site's task engine: what is handed to it, and what it calls."""

from __future__ import annotations

from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any, Final

from django.db import transaction

from django_stream_zip import conf

__all__ = ["enqueue", "enqueue_function", "run_task"]

# By name: what is in a queue must not choose other code. As a path, for `build` calls `enqueue`.
_TASKS: Final = {
    "build_export": "django_stream_zip.exports.build.build_export",
    "build_parts": "django_stream_zip.exports.build.build_parts",
}
# Not imported before it is needed: `@task` fails where a project has no such backend or queue.
_DEFAULT: Final = "django_stream_zip.exports.tasks:zip_task.enqueue"


def run_task(task: str, *arguments: Any) -> None:
    """Do what was enqueued: to be called by a worker of the task engine.

    It may be called any number of times, at once, and be killed anywhere.

    Args:
        task: The first argument that the function of the setting ENQUEUE was called with.
        arguments: The others.
    """
    if task not in _TASKS:
        raise ValueError(f"there is no task {task!r}: {', '.join(_TASKS)}")
    resolve_name(_TASKS[task])(*arguments)


def enqueue(task: str, *arguments: Any) -> None:
    """Hand a task to the engine when the transaction is committed, or now if there is none.

    An engine that can't be reached is logged: the row is there, and the sweep enqueues it later.
    """
    function = enqueue_function()

    def hand_over() -> None:
        function(task, *arguments)

    transaction.on_commit(hand_over, robust=True)


def enqueue_function() -> Callable[..., object]:
    """Return the function of the setting ENQUEUE; without one, that of django.tasks.

    Raises:
        ImportError: There is none: Django is older than 6.0, and its backport isn't installed.
    """
    function: Callable[..., object] = resolve_name(conf.get("ENQUEUE") or _DEFAULT)
    return function
