"""What is known of an archive before it is sent: for pages, and for clients that ask first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from django.utils.translation import gettext_lazy

from django_stream_zip.engine.methods import Coding
from django_stream_zip.members.build import text
from django_stream_zip.members.ready import ready
from django_stream_zip.planning.plan import Plan

__all__ = ["NotResumable", "ZipInfo", "zip_info"]


class NotResumable(NamedTuple):
    """A reason why a download can't be resumed: a code that stays, and words for the client."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class ZipInfo:
    """What is known of an archive.

    Attributes:
        length: Number of bytes; None if it isn't known before it is sent. (To clients it is the
            Content-Length.)
        members: How many members it has; None for a generator.
        reasons: Why an interrupted download can't be resumed; none if it can be.
    """

    length: int | None
    members: int | None
    reasons: tuple[NotResumable, ...]

    @property
    def is_resumable(self) -> bool:
        """Whether an interrupted download can be resumed."""
        return not self.reasons

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "length": self.length,
            "members": self.members,
            "is_resumable": self.is_resumable,
            "reasons": [reason._asdict() for reason in self.reasons],
        }


_TEXTS: Final = {
    "generator": gettext_lazy("How many files there are is not known beforehand."),
    "compressed": gettext_lazy("Some files are compressed while they are sent."),
    "unknown_size": gettext_lazy("The size of some files is not known beforehand."),
    "password": gettext_lazy("The archive is encrypted with a password."),
    "no_version": gettext_lazy("Nothing shows whether some files have changed."),
}


def zip_info(
    members: Any,
    *,
    password: str | None = None,
    compress: bool | None = None,
    extended_timestamps: bool = True,
    comment: str = "",
) -> ZipInfo:
    """Return what `zip_response` would send for these members and options, without sending it.

    Storages are asked as `zip_response` asks them; no content is read, and a generator isn't
    iterated. Texts are in the active language. It raises what `zip_response` raises.
    """
    members = ready(members, compress)
    if not isinstance(members, Sequence):
        return ZipInfo(None, None, (_reason("generator"),))
    plan = Plan.of(
        members,
        encrypted=password is not None,
        extended_timestamps=extended_timestamps,
        comment=text(comment),
    )
    length = None if plan is None else plan.length
    is_resumable = plan is not None and plan.entity_tag is not None
    codes = () if is_resumable else _codes(members, password)
    return ZipInfo(length, len(members), tuple(map(_reason, codes)))


def _codes(members: Sequence[Any], password: str | None) -> Iterator[str]:
    """Yield the codes of what keeps an archive from having an entity tag."""
    sizes = [(method.coding, method.uncompressed_size) for _, _, _, method, _ in members]
    if any(size is not None and coding is not Coding.STORE for coding, size in sizes):
        yield "compressed"
    if any(size is None for _, size in sizes):
        yield "unknown_size"
    if password is not None:
        yield "password"
    if not all(
        getattr(content, "validator", None) is not None
        and getattr(content, "identity", None) is not None
        for *_, content in members
    ):
        yield "no_version"


def _reason(code: str) -> NotResumable:
    return NotResumable(code, str(_TEXTS[code]))
