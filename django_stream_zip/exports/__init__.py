"""Archives built in the background, by the task engine that a site has: an optional app.

Names are imported when they are first used: models can't be before Django's apps are ready.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from django_stream_zip.exports.build import build_export, build_parts
    from django_stream_zip.exports.engine import run_task
    from django_stream_zip.exports.models import AbstractZipExport, ZipExport
    from django_stream_zip.exports.registry import zip_export
    from django_stream_zip.exports.requests import request_zip
    from django_stream_zip.exports.signals import zip_export_failed, zip_export_ready
    from django_stream_zip.exports.states import State
    from django_stream_zip.exports.sweep import sweep_exports
    from django_stream_zip.exports.views import ZipExportView

__all__ = [
    "AbstractZipExport",
    "State",
    "ZipExport",
    "ZipExportView",
    "build_export",
    "build_parts",
    "request_zip",
    "run_task",
    "sweep_exports",
    "zip_export",
    "zip_export_failed",
    "zip_export_ready",
]


def __dir__() -> list[str]:
    return __all__


_MODULES: Final = {
    "AbstractZipExport": "models",
    "State": "states",
    "ZipExport": "models",
    "ZipExportView": "views",
    "build_export": "build",
    "build_parts": "build",
    "request_zip": "requests",
    "run_task": "engine",
    "sweep_exports": "sweep",
    "zip_export": "registry",
    "zip_export_failed": "signals",
    "zip_export_ready": "signals",
}


def __getattr__(name: str) -> Any:
    """Import a name from its module."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
