"""Requests for archives: the same one again gives the same row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from django_stream_zip import conf
from django_stream_zip.delivery.disposition import safe_filename
from django_stream_zip.exports.engine import enqueue
from django_stream_zip.exports.models import AbstractZipExport, export_model, exports
from django_stream_zip.exports.registry import recipe_of
from django_stream_zip.exports.states import State
from django_stream_zip.exports.storing import file_name

__all__ = ["live_export", "request_again", "request_zip"]


def request_zip(
    recipe: str, /, *, owner: Any, filename: str = "archive.zip", **arguments: Any
) -> AbstractZipExport:
    """Have an archive built in the background; return its row.

    While a request lives (until its archive has failed, expired or was cancelled), the same one
    gives the same row: a second click builds nothing. What was added to an album since then is not
    in it; for that there is `request_again`.

    Args:
        recipe: The name of a recipe: see `zip_export`.
        owner: The user who may have the archive.
        filename: The name to save it under.
        arguments: What the recipe is called with: JSON.

    Raises:
        UnknownRecipeError: There is no such recipe.
        WrongArgumentsError: It takes other arguments, or they aren't JSON. (A TypeError.)
        PermissionDenied: The owner may not have this archive.
    """
    _check(recipe, owner, arguments)
    return _live_or_new(recipe, owner, safe_filename(str(filename)), arguments)


def _check(recipe: str, owner: Any, arguments: Mapping[str, Any]) -> None:
    known = recipe_of(recipe)
    known.check(arguments)
    if not known.is_allowed(owner, arguments):
        raise PermissionDenied(_("You may not have these files."))


def request_again(export: AbstractZipExport) -> AbstractZipExport:
    """Request the same archive anew, with the files that are there now; return the new row.

    An export that is being built is returned itself. One that is ready stays so until it expires;
    if nothing has changed, the new one shares its file.

    Raises:
        UnknownRecipeError: Its recipe is no longer there.
        WrongArgumentsError: Its recipe takes other arguments by now.
        PermissionDenied: Its owner may not have it any more.
    """
    _check(export.recipe, export.owner, export.arguments)
    exports().filter(pk=export.pk, state=State.READY).update(digest=None)
    return _live_or_new(export.recipe, export.owner, export.filename, export.arguments)


def live_export(
    recipe: str, owner: Any, filename: str, arguments: Mapping[str, Any]
) -> AbstractZipExport | None:
    """Return the row that the same request has already; None if there is none, or none any more."""
    digest = _digest(recipe, owner, filename, arguments)
    found: AbstractZipExport | None = exports().filter(digest=digest).first()
    if found is None or found.is_working or found.is_downloadable:
        return found
    exports().filter(pk=found.pk).move(State.READY, State.EXPIRED)
    return None


def _live_or_new(
    recipe: str, owner: Any, filename: str, arguments: Mapping[str, Any]
) -> AbstractZipExport:
    found = live_export(recipe, owner, filename, arguments)
    return found or _created(recipe, owner, filename, arguments)


def _created(
    recipe: str, owner: Any, filename: str, arguments: Mapping[str, Any]
) -> AbstractZipExport:
    """Return a new row, or the one that somebody else has made at the same moment."""
    digest = _digest(recipe, owner, filename, arguments)
    export = export_model()(
        recipe=recipe,
        arguments=arguments,
        owner=owner,
        filename=filename,
        language=get_language() or "",
        digest=digest,
        storage=conf.get("EXPORT_STORAGE"),
        enqueued=timezone.now(),
    )
    export.file = file_name(export)
    with suppress(IntegrityError), transaction.atomic():
        export.save(force_insert=True)
        enqueue("build_export", str(export.pk))
        return export
    return export_model()._default_manager.get(digest=digest)


def _digest(recipe: str, owner: Any, filename: str, arguments: Mapping[str, Any]) -> str:
    values = [recipe, str(owner.pk), filename, arguments]
    return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
