"""Makes links of the names that pages write as ``literals`` and docstrings as `code`.

A name that has an entry in the reference is a link to it: functions, classes, exceptions,
settings, checks, commands, each also behind the last part of its module; methods and attributes as
`Class.name`, or alone where only one class has such a method. So prose needs no roles, and
docstrings stay readable in an editor.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

OWN_KINDS = {"confval", "check", "command"}
# How an entry of Python's may be named beside its path: `owner` is what is before the last dot.
MODULE_LEVEL = ("{name}", "{owner}.{name}")
SPELLINGS = {
    "attribute": ("{owner}.{name}",),
    "class": MODULE_LEVEL,
    "data": MODULE_LEVEL,
    "exception": MODULE_LEVEL,
    "function": MODULE_LEVEL,
    "method": ("{owner}.{name}", "{name}"),
    "module": ("{owner}.{name}",),
    "property": ("{owner}.{name}",),
}


class Place(NamedTuple):
    """Where a name's entry is."""

    page: str
    anchor: str


def entries(env: BuildEnvironment) -> Iterator[tuple[str, Place]]:
    """Yield what may be a link, and where it leads; several places mean that none is certain."""
    for (kind, name), place in env.domains.standard_domain.objects.items():
        if kind in OWN_KINDS:
            yield name, Place(*place)
    for path, entry in env.domains.python_domain.objects.items():
        if not entry.aliased:
            place = Place(entry.docname, entry.node_id)
            owner, _, name = path.rpartition(".")
            owner = owner.rpartition(".")[2]
            if owner:  # the package is also a logger, an app and what one installs
                yield path, place
            for spelling in SPELLINGS[entry.objtype]:
                text = spelling.format(owner=owner, name=name)
                # `save()` alone is a storage's or a model's just as well.
                if entry.objtype != "method" or re.search(r"[._]", text):
                    yield text, place


def linkable(env: BuildEnvironment) -> dict[str, Place]:
    """Return the names that have one place; a function goes before methods of its name."""
    found = list(dict.fromkeys(entries(env)))
    counts = Counter(name for name, _place in found)
    places = {name: place for name, place in found if counts[name] == 1}
    for name, place in found:
        if place.anchor.endswith(f".{name}") and _is_module_level(env, place.anchor):
            places[name] = place
    return places


def _is_module_level(env: BuildEnvironment, anchor: str) -> bool:
    entry = env.domains.python_domain.objects.get(anchor)
    return entry is not None and SPELLINGS[entry.objtype] is MODULE_LEVEL


def link(app: Sphinx, doctree: nodes.document, page: str) -> None:
    """Put links around the literals of a page that are names."""
    places = linkable(app.env)
    for literal in list(doctree.findall(nodes.literal)):
        place = places.get(_name(literal.astext()))
        if place is None or _is_linked(literal, place):
            continue
        inner = literal.deepcopy()
        reference = make_refnode(app.builder, page, place.page, place.anchor, inner)
        literal.replace_self(reference)


def _name(text: str) -> str:
    """Return what a literal names: of a call, what is called."""
    return text.partition("(")[0] if text.endswith(")") else text


def _is_linked(literal: nodes.Node, place: Place) -> bool:
    """Return whether it is a link already, or stands in the very entry that it names."""
    node = literal.parent
    while node is not None:
        if isinstance(node, nodes.reference | nodes.title):
            return True
        if any(place.anchor in child.get("ids", ()) for child in _signatures(node)):
            return True
        node = node.parent
    return False


def _signatures(node: nodes.Node) -> Iterator[Any]:
    return (child for child in node.children if child.tagname == "desc_signature")


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the kinds of entries that Sphinx doesn't know, and the links."""
    app.add_object_type("check", "check", "pair: %s; check")
    app.add_object_type("command", "command", "pair: %s; command")
    app.add_crossref_type("setting", "setting")  # Django's, in its inventory
    app.connect("doctree-resolved", link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
