"""The table of exports: a row is a request for an archive, and how far it has come."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Self, cast

from django.apps import apps
from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy

from django_stream_zip import conf
from django_stream_zip.exports.registry import Recipe, recipe_of
from django_stream_zip.exports.sharing import share_token
from django_stream_zip.exports.states import ENDED, NEXT, WORKING, State

__all__ = [
    "AbstractZipExport",
    "ExportQuerySet",
    "ZipExport",
    "ZipExportPart",
    "export_model",
    "exports",
    "moments_around_now",
]


def moments_around_now() -> tuple[datetime, datetime]:
    """Return the earliest and the latest heartbeat that still count.

    One from the future is of a clock that was put back, and no better than one from long ago.
    """
    now, age = timezone.now(), timedelta(seconds=conf.get("EXPORT_STALLED_AFTER"))
    return now - age, now + age


class ExportQuerySet(models.QuerySet[Any]):
    """Exports; the only way to change their states."""

    def move(self, source: State, target: State, **changes: Any) -> bool:
        """Change the state of those of these exports that are in the state `source`.

        One UPDATE: of several who try it at once, one succeeds.

        Args:
            source: The state that they must be in.
            target: The state that follows; it has to be one that may.
            changes: Columns to be set with it.

        Returns:
            Whether there was one.
        """
        return self._move([source], target, changes)

    def end(self, target: State, **changes: Any) -> bool:
        """End an export that is worked on, whatever its state is; return whether it was."""
        return self._move(WORKING, target, changes)

    def _move(self, sources: Collection[State], target: State, changes: dict[str, Any]) -> bool:
        for source in sources:
            if target not in NEXT[source]:
                raise ValueError(f"{target!r} doesn't follow {source!r}")
        if target in ENDED:
            # The same request may be made anew.
            changes = {"digest": None, "ended": timezone.now(), **changes}
        return self.filter(state__in=sources).update(state=target, **changes) > 0

    def stalled(self) -> Self:
        """Return those that somebody has to work on, and nobody shows a sign of doing it."""
        lately = moments_around_now()
        is_alive = models.Q(heartbeat__isnull=False, heartbeat__range=lately)
        return self.filter(~is_alive, state__in=WORKING).exclude(enqueued__range=lately)


class AbstractZipExport(models.Model):
    """An archive that somebody requested."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    recipe = models.CharField(gettext_lazy("recipe"), max_length=100)
    arguments = models.JSONField(default=dict)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        related_name="+",
        verbose_name=gettext_lazy("owner"),
    )
    filename = models.CharField(gettext_lazy("file name"), max_length=255)
    #: In which the owner made the request: reports in the archive and errors are in it too.
    language = models.CharField(max_length=20)
    state = models.CharField(
        gettext_lazy("state"),
        max_length=20,
        choices=State.choices,
        default=State.QUEUED,
        db_index=True,
    )
    #: Of recipe, arguments, owner and filename while the same request gives this row, else None:
    #: a unique column without conditions is the same in every database.
    digest = models.CharField(max_length=64, unique=True, null=True, editable=False)

    #: What is planned: the archive's entity tag ("" without one), its length, its members.
    tag = models.CharField(max_length=64, blank=True, db_index=True)
    length = models.BigIntegerField(null=True)
    members = models.IntegerField(default=0)
    #: Of the whole archive, where it is made in parts.
    crc_32 = models.BigIntegerField(null=True)
    #: How many files were left out and reported.
    missing = models.IntegerField(default=0)
    planned = models.DateTimeField(null=True)
    #: How many times it was planned because files had changed.
    plans = models.IntegerField(default=0)

    #: Where it is stored; "" when nothing is left there. Equal archives have the same.
    storage = models.CharField(max_length=100)
    file = models.CharField(max_length=255, db_index=True)
    #: Of the upload, if it is made in parts.
    token = models.TextField(blank=True)

    bytes_done = models.BigIntegerField(default=0)
    #: How many times a worker began with it since it last got further.
    attempts = models.IntegerField(default=0)
    #: When a worker was last heard of; None if none is at it.
    heartbeat = models.DateTimeField(null=True)
    #: When it was last handed to the task engine.
    enqueued = models.DateTimeField()
    #: Why it failed, as its owner may read it.
    error = models.TextField(blank=True)
    #: Whether the signal was sent that says how it ended.
    announced = models.BooleanField(default=False)

    created = models.DateTimeField(gettext_lazy("created"), default=timezone.now)
    ready = models.DateTimeField(null=True)
    expires = models.DateTimeField(gettext_lazy("expires"), null=True)
    ended = models.DateTimeField(null=True)

    objects = ExportQuerySet.as_manager()

    class Meta:
        """Django's options."""

        abstract = True
        verbose_name = gettext_lazy("ZIP export")
        verbose_name_plural = gettext_lazy("ZIP exports")
        ordering = ("-created",)

    def __str__(self) -> str:
        """Return its file name."""
        return self.filename

    def get_absolute_url(self) -> str:
        """Return the URL of its status page."""
        return reverse("zip_exports:status", args=[self.pk])

    def get_share_url(self, max_age: int) -> str:
        """Return a signed URL with which anybody may download it.

        It works for `max_age` seconds, as long as the archive is there, and as long as its owner
        may have it.

        Raises:
            PermissionError: Its recipe isn't `shareable`.
        """
        if not self.known_recipe.shareable:
            raise PermissionError(
                f"exports of {self.recipe!r} aren't shared: "
                "@zip_export(…, shareable=True) allows it"
            )
        return reverse("zip_exports:shared", args=[share_token(self.pk, max_age)])

    @property
    def known_recipe(self) -> Recipe:
        """The recipe that its row names. Raises UnknownRecipeError."""
        return recipe_of(self.recipe)

    def is_allowed(self) -> bool:
        """Return whether its owner may have it."""
        return self.known_recipe.is_allowed(self.owner, self.arguments)

    @property
    def is_working(self) -> bool:
        """Whether somebody has to work on it."""
        return self.state in WORKING

    @property
    def is_downloadable(self) -> bool:
        """Whether it is ready and has not expired."""
        now = timezone.now()
        return self.state == State.READY and self.expires is not None and self.expires > now

    @property
    def shown_state(self) -> State:
        """The state as its owner sees it: one that isn't swept yet has expired all the same."""
        state = State(self.state)
        is_over = state == State.READY and not self.is_downloadable
        return State.EXPIRED if is_over else state

    @property
    def fraction(self) -> float | None:
        """How much of it is there, 0 to 1; None if that isn't known."""
        if self.state == State.READY:
            return 1.0
        return min(1.0, self.bytes_done / self.length) if self.length else None


class ZipExport(AbstractZipExport):
    """An archive that somebody requested."""

    class Meta(AbstractZipExport.Meta):
        """Django's options."""

        abstract = False


class ZipExportPart(models.Model):
    """The CRC-32 of a part, where the storage keeps none; until the export is ready.

    Without those of all parts nobody would see that a content isn't what its member declares.
    """

    #: An export's primary key, whatever its model is.
    export = models.UUIDField()
    plans = models.IntegerField()
    number = models.IntegerField()
    crc_32 = models.BigIntegerField()

    objects: models.Manager[ZipExportPart] = models.Manager()

    class Meta:
        """Django's options."""

        default_permissions = ()
        constraints = (
            models.UniqueConstraint(
                fields=["export", "plans", "number"], name="zip_exports_one_of_each_part"
            ),
        )


def export_model() -> type[AbstractZipExport]:
    """Return the model of exports that the setting EXPORT_MODEL names."""
    return cast(type[AbstractZipExport], apps.get_model(conf.get("EXPORT_MODEL")))


def exports() -> ExportQuerySet:
    """Return all exports."""
    return ExportQuerySet(export_model())
