"""Downloads over a limit: in English for logs, in the language of the request for the client."""

from __future__ import annotations

from django.template.defaultfilters import filesizeformat
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import ngettext


class DownloadTooLargeError(Exception):
    """A download is over a limit. Not raised itself.

    `str()` of it is for developers, and English; `client_text` is what the client may see.
    """

    @property
    def client_text(self) -> str:
        """Return what is wrong and what to do, in the active language."""
        return _("This download is too large. Select fewer files.")


class TooManyMembersError(DownloadTooLargeError):
    """There are more members than the limit allows; or more rows, where `selected` is known."""

    def __init__(self, limit: int, selected: int | None = None) -> None:
        super().__init__(limit, selected)
        self.limit = limit
        self.selected = selected

    def __str__(self) -> str:
        if self.selected is None:
            return f"the download has more files than its limit of {self.limit:,}"
        return f"{self.selected:,} rows were selected, more than the limit of {self.limit:,}"

    @property
    def client_text(self) -> str:
        """Return what is wrong and what to do, in the active language."""
        if self.selected is None:
            text = ngettext(
                "This download is limited to %(limit)s file. Select fewer files.",
                "This download is limited to %(limit)s files. Select fewer files.",
                self.limit,
            )
            return text % {"limit": _grouped(self.limit)}
        text = ngettext(
            "You selected %(count)s items, but only %(limit)s item can be downloaded at a time.",
            "You selected %(count)s items, but only %(limit)s items can be downloaded at a time.",
            self.limit,
        )
        return text % {"count": _grouped(self.selected), "limit": _grouped(self.limit)}


class TooManyBytesError(DownloadTooLargeError):
    """The members have more bytes in total than the limit allows."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"the download has more bytes than its limit of {self.limit:,}"

    @property
    def client_text(self) -> str:
        """Return what is wrong and what to do, in the active language."""
        text = _("This download is limited to %(size)s. Select fewer files.")
        return text % {"size": filesizeformat(self.limit)}


def _grouped(number: int) -> str:
    """Return a number with the separators of the active language."""
    return number_format(number, force_grouping=True)
