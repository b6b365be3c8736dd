"""The states of an export, and which may follow which."""

from __future__ import annotations

from typing import Final

from django.db.models import TextChoices
from django.utils.translation import pgettext_lazy

__all__ = ["ENDED", "LIVE", "NEXT", "WORKING", "State"]


class State(TextChoices):
    """Where an export is on its way."""

    QUEUED = "queued", pgettext_lazy("state of an export", "queued")
    BUILDING = "building", pgettext_lazy("state of an export", "being built")
    FINISHING = "finishing", pgettext_lazy("state of an export", "being finished")
    READY = "ready", pgettext_lazy("state of an export", "ready")
    FAILED = "failed", pgettext_lazy("state of an export", "failed")
    CANCELLED = "cancelled", pgettext_lazy("state of an export", "cancelled")
    EXPIRED = "expired", pgettext_lazy("state of an export", "expired")


#: What may follow. Back to QUEUED goes what has to be planned anew, back to BUILDING what turned
#: out to lack parts. READY follows QUEUED where an equal archive is there already.
NEXT: Final = {
    State.QUEUED: {State.BUILDING, State.READY, State.FAILED, State.CANCELLED},
    State.BUILDING: {State.QUEUED, State.FINISHING, State.FAILED, State.CANCELLED},
    State.FINISHING: {State.QUEUED, State.BUILDING, State.READY, State.FAILED, State.CANCELLED},
    State.READY: {State.EXPIRED},
    State.FAILED: set[State](),
    State.CANCELLED: set[State](),
    State.EXPIRED: set[State](),
}
#: Somebody has to work on these.
WORKING: Final = (State.QUEUED, State.BUILDING, State.FINISHING)
#: The same request gives one of these again.
LIVE: Final = (*WORKING, State.READY)
#: Nothing comes after these.
ENDED: Final = (State.FAILED, State.CANCELLED, State.EXPIRED)
