"""Tags for a form in which people tick what they download: `docs/reference/templates.rst`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from django.db.models import FileField, Model
from django.forms.utils import flatatt
from django.shortcuts import resolve_url
from django.template import Context, Library, Variable
from django.template.defaultfilters import filesizeformat
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import get_language, pgettext
from django.utils.translation import gettext as _

from django_stream_zip.metadata.tracking import columns_of
from django_stream_zip.selection import spelled_key

__all__ = ["register", "zip_checkbox", "zip_form", "zip_select_all", "zip_selection"]

register = Library()


@register.simple_tag
def zip_checkbox(row: Any, *, name: str = "ids", size: Any = None, **attributes: Any) -> SafeString:
    """Return the checkbox of a row, for a `<label>` of your own.

    Args:
        row: A model's instance, or its primary key.
        name: The view's `ids_param`.
        size: Number of bytes. Without it, that of the row's ZipSizeField, if there is one.
        attributes: What else the element has: `class="box"`, `aria_label=row.title`. Its id is
            "id_ids_12" for the name "ids" and the key 12, unless there is an `id` here.
    """
    is_instance = isinstance(row, Model)
    value = spelled_key(row) if is_instance else str(row)
    if size in (None, "") and is_instance:
        size = _known_size(row)
    return format_html(
        "<input{}>",
        flatatt(
            {
                "type": "checkbox",
                "name": name,
                "value": value,
                "id": f"id_{name}_{quote(value, safe='')}",
                "data-zip-size": None if size in (None, "") else str(size),
                **{key.replace("_", "-"): given for key, given in attributes.items()},
            }
        ),
    )


@register.inclusion_tag("django_stream_zip/select_all.html")
def zip_select_all(label: str = "") -> dict[str, Any]:
    """Render a checkbox that ticks all of its fieldset, or of its form outside of one.

    It is hidden without scripts.
    """
    return {"label": label or _("Select all")}


@register.inclusion_tag("django_stream_zip/selection.html", takes_context=True)
def zip_selection(
    context: Context, *, name: str = "ids", button: str = "", clear: str = ""
) -> dict[str, Any]:
    """Render the end of a form: what is ticked, and the buttons.

    Args:
        context: Has a `csp_nonce` where the site's policy needs one.
        name: The view's `ids_param`.
        button: What the button of the download says.
        clear: What the button says that unticks all.
    """
    return {
        "name": name,
        "button": button or _("Download selected"),
        "clear": clear or pgettext("to select nothing", "Clear"),
        "text_nothing": _("Nothing is selected."),
        "text_count": _("Selected: %(count)s"),
        "text_size": _("Selected: %(count)s (%(size)s)"),
        "units": json.dumps(_units()),
        # Of the texts, and so of the numbers in them. Scripts know no "ca@valencia".
        "language": (get_language() or "en").partition("@")[0],
        "csp_nonce": context.get("csp_nonce"),
    }


@register.inclusion_tag("django_stream_zip/form.html", takes_context=True)
def zip_form(
    context: Context,
    to: str,
    rows: Iterable[Model],
    *,
    label: str = "",
    size: str = "",
    name: str = "ids",
    method: str = "post",
    legend: str = "",
    button: str = "",
) -> dict[str, Any]:
    """Render a whole form: a checkbox for each row, and what the other tags render.

    Args:
        context: Has a `csp_nonce` where the site's policy needs one.
        to: The view's URL, or the name of one without arguments.
        rows: A queryset or a list.
        label: The attribute or method that says what a row is, such as "album.title"; without it,
            `str` does.
        size: The attribute or method with a row's bytes, as in `zip_checkbox`.
        name: The view's `ids_param`.
        method: "post" for any number of rows; "get" for a link with their keys.
        legend: What the rows are called; without it, their model's `verbose_name_plural`.
        button: What the button of the download says.
    """
    listed = [_row(context.new({"row": row}), label, size) for row in rows]
    if listed and not legend:
        legend = capfirst(listed[0]["object"]._meta.verbose_name_plural)
    return {
        "url": resolve_url(to),
        "rows": listed,
        "name": name,
        "method": method,
        "legend": legend,
        "button": button,
        "empty": _("There are no files to download."),
        "csp_nonce": context.get("csp_nonce"),
    }


def _row(context: Context, label: str, size: str) -> dict[str, Any]:
    """Return what the form shows of the context's row."""
    row = context["row"]
    bytes_ = Variable(f"row.{size}").resolve(context) if size else _known_size(row)
    return {
        "object": row,
        "label": Variable(f"row.{label}").resolve(context) if label else str(row),
        "size": None if bytes_ == "" else bytes_,
    }


def _known_size(row: Model) -> int | None:
    """Return how many bytes a row's files have, if columns that are loaded say it."""
    loaded = row.__dict__
    fields = [field for field in row._meta.concrete_fields if isinstance(field, FileField)]
    sizes: list[Any] = [
        loaded.get(columns_of(field).get("size", ""))
        for field in fields
        if loaded.get(field.attname, True)
    ]
    return sum(sizes) if fields and None not in sizes else None


def _units() -> list[str]:
    """Return how the language writes sizes, from KB to PB: as Django's `filesizeformat` does."""
    one = number_format(1.0, 1)
    return [filesizeformat(1024**power).replace(one, "%s") for power in range(1, 6)]
