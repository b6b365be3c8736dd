"""Finds what signatures and docstrings name in another way than the documentation does.

A class's path is where it is defined: `django.http.request.HttpRequest`. Django's documentation has
it where it is imported from: `django.http.HttpRequest`. So the last part decides, where one name in
the inventories ends with it, or one that begins as the path does.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

from docutils.nodes import Element, TextElement
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext.intersphinx import resolve_reference_any_inventory
from sphinx.util.typing import stringify_annotation

from django_stream_zip import AsyncMemberFile, MemberFile
from django_stream_zip.delivery.async_download import AnyMembers
from django_stream_zip.members.build import DEFAULT_MODE, AsyncContentMember, ContentMember
from django_stream_zip.members.collect import Limit, Missing
from django_stream_zip.members.files import NO_TIME
from django_stream_zip.saving.parts import ABANDONED_AFTER

KINDS: Final = ("py:class", "py:exception")
MEMBER: Final = "~django_stream_zip.MemberFile"
ASYNC_MEMBER: Final = "~django_stream_zip.AsyncMemberFile"
ANY_MEMBERS: Final = f"~typing.Iterable[{MEMBER}] | ~typing.AsyncIterable[{ASYNC_MEMBER}]"

# Builders return members that know more of their contents, which is nobody's concern; and a limit
# that isn't a number is the setting's, as the default shows.
SPELLINGS: Final = {
    **{
        stringify_annotation(kind, "smart"): text
        for kind, text in (
            (AnyMembers, ANY_MEMBERS),
            (MemberFile, MEMBER),
            (AsyncMemberFile, ASYNC_MEMBER),
            (ContentMember, MEMBER),
            (AsyncContentMember, ASYNC_MEMBER),
            (int | Limit | None, "int | None"),
        )
    },
    "AsyncContentMember": ASYNC_MEMBER,
    "ContentMember": MEMBER,
    "int | Limit | None": "int | None",
    ": Missing": f": {stringify_annotation(Missing, 'smart')}",
    # Defaults by their values.
    "ABANDONED_AFTER": repr(ABANDONED_AFTER),
    "DEFAULT_MODE": oct(DEFAULT_MODE),
    "MappingProxyType({})": "{}",
    "NO_TIME": repr(NO_TIME),
    "FROM_SETTINGS": "...",
}


def respell(
    app: Sphinx,
    what: str,
    name: str,
    obj: Any,
    options: Any,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    """Write types in a signature as users know them."""
    for spelled, text in SPELLINGS.items():
        signature = signature and signature.replace(spelled, text)
        returns = returns and returns.replace(spelled, text)
    return signature, returns


def endings(env: BuildEnvironment) -> dict[str, set[str]]:
    """Return the names in Django's and Python's inventories by their last parts."""
    found: dict[str, set[str]] = defaultdict(set)
    for kind in KINDS:
        for name in env.intersphinx_inventory.get(kind, ()):
            found[name.rpartition(".")[2]].add(name)
    return found


def resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, content: TextElement
) -> Element | None:
    """Return a link for a name that nothing else has resolved, or None."""
    path, _, last = node["reftarget"].rpartition(".")
    if node.get("refdomain") != "py" or path.startswith("django_stream_zip"):
        return None
    found = endings(env)[last]
    names = {name for name in found if path.startswith(name.rpartition(".")[0])} or found
    if len(names) != 1:
        return None
    [node["reftarget"]] = names
    return resolve_reference_any_inventory(env, False, node, content)


def setup(app: Sphinx) -> dict[str, Any]:
    """Respell signatures, and ask for links after intersphinx has."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-signature", respell)
    app.connect("missing-reference", resolve, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
