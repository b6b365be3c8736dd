"""Reads docstrings in Google's form, but for comments of attributes.

Sphinx's own napoleon takes what stands before a colon in such a comment for a type.
"""

from __future__ import annotations

from typing import Any

from sphinx.application import Sphinx
from sphinx.ext.napoleon import Config, GoogleDocstring

CONFIG = Config(napoleon_use_ivar=True)


def as_fields(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Write "Args:", "Raises:" and so on as Sphinx's fields, in place."""
    if what not in {"attribute", "data", "property"}:
        lines[:] = GoogleDocstring(lines, CONFIG, app, what, name, obj, options).lines()


def setup(app: Sphinx) -> dict[str, Any]:
    """Have autodoc call it."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", as_fields)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
