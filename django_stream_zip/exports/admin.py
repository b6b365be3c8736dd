"""The admin: exports as a list to watch, and the action "Prepare ZIP in the background"."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from django.apps import apps
from django.contrib import admin, messages
from django.contrib.admin.sites import all_sites
from django.contrib.auth import get_user_model
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from django_stream_zip import MemberFile, selection
from django_stream_zip.admin import ZipDownloadAdminMixin, members_of
from django_stream_zip.exports.finishing import cancel
from django_stream_zip.exports.models import AbstractZipExport, export_model
from django_stream_zip.exports.registry import WrongArgumentsError, zip_export
from django_stream_zip.exports.requests import request_again, request_zip

if TYPE_CHECKING:
    _Admin = admin.ModelAdmin[Any]
else:
    _Admin = admin.ModelAdmin

__all__ = ["ZipExportAdmin", "ZipExportAdminMixin"]

#: The recipe of what is selected in an admin.
ADMIN_RECIPE: Final = "django_stream_zip.admin"


class ZipExportAdminMixin(ZipDownloadAdminMixin):
    """Adds the action to a ModelAdmin, beside "Download selected … as ZIP".

    Put it before ModelAdmin among the bases. Who prepares an archive must have
    `has_zip_download_permission`, also when it is built and downloaded. `zip_limit` is for
    downloads only.
    """

    def __init__(self, model: type[Any], admin_site: admin.AdminSite) -> None:
        super().__init__(model, admin_site)
        if self.actions is not None and "prepare_zip" not in self.actions:
            self.actions = [*self.actions, "prepare_zip"]

    @admin.action(
        permissions=["zip_download"],
        description=gettext_lazy("Prepare ZIP in the background"),
    )
    def prepare_zip(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponseBase | None:
        """Request the archive of the selected rows, and redirect to its status page."""
        pks = list(self._with_files(queryset).order_by("pk").values_list("pk", flat=True))
        if not pks:
            self.message_user(request, _("The selected items have no files."), messages.WARNING)
            return None
        export = request_zip(
            ADMIN_RECIPE,
            owner=request.user,
            filename=self.get_zip_filename(request),
            site=self.admin_site.name,
            model=self.opts.label_lower,
            user=str(request.user.pk),
            keys=_packed(selection.compacted(self.model, dict.fromkeys(pks))),
        )
        return HttpResponseRedirect(export.get_absolute_url())

    def get_zip_export_members(
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> Iterable[MemberFile]:
        """Return the members of an archive that is prepared.

        By default those of a download, without its limit. The request is not the one that came: it
        has the user only.
        """
        if type(self).get_zip_members is not ZipDownloadAdminMixin.get_zip_members:
            return self.get_zip_members(request, queryset)
        options = {name: value for name, value in self.zip_options.items() if name != "limit"}
        if self.zip_compress is not None:
            options.setdefault("compress", self.zip_compress)
        return members_of(self, request, queryset, options)

    def _problem(self, rows: int) -> str | None:
        problem = super()._problem(rows)
        if not (rows and problem):
            return problem
        return " ".join((problem, _("Or choose “Prepare ZIP in the background”.")))


def _packed(value: Any) -> str:
    """Return a value as text, always the same: 100,000 keys in a row become some hundred bytes."""
    return signing.b64_encode(zlib.compress(json.dumps(value).encode(), 9)).decode()


def _unpacked(text: str) -> Any:
    return json.loads(zlib.decompress(signing.b64_decode(text.encode())))


def _admin_of(site: str, model: str) -> ZipExportAdminMixin | None:
    """Return the ModelAdmin that an archive was requested in, None if it isn't there any more."""
    for known in all_sites:
        if known.name == site:
            found = known._registry.get(apps.get_model(model))
            if isinstance(found, ZipExportAdminMixin):
                return found
    return None


def _request_of(user: Any) -> HttpRequest:
    """Return a request that has a user, for the methods of a ModelAdmin."""
    request = HttpRequest()
    request.method = "GET"
    request.user = user
    return request


def _may_have(user: Any, /, *, site: str, model: str, **others: Any) -> bool:
    """Return whether a user may download what is selected in an admin."""
    modeladmin = _admin_of(site, model)
    if modeladmin is None or not (user.is_active and user.is_staff):
        return False
    return modeladmin.has_zip_download_permission(_request_of(user))


@zip_export(ADMIN_RECIPE, allowed=_may_have)
def _selected(*, site: str, model: str, user: str, keys: str) -> Any:
    """Return the members of the rows that a user has selected, and may see by now."""
    modeladmin = _admin_of(site, model)
    if modeladmin is None:
        raise LookupError(f"no ModelAdmin of {model} in the admin {site!r} prepares archives")
    request = _request_of(get_user_model()._default_manager.get(pk=user))
    found = selection.expanded(modeladmin.model, _unpacked(keys))
    try:
        rows = selection.rows(modeladmin.get_queryset(request), found)
    except selection.UnknownRowsError as error:
        raise FileNotFoundError(f"a row of {model} is gone") from error
    return modeladmin.get_zip_export_members(request, rows)


@admin.action(permissions=["manage"], description=gettext_lazy("Cancel selected exports"))
def cancel_exports(
    modeladmin: ZipExportAdmin, request: HttpRequest, queryset: QuerySet[Any]
) -> None:
    """Cancel those that aren't ready."""
    number = sum(cancel(export) for export in queryset)
    text = _("Cancelled: %(count)s") % {"count": number}
    modeladmin.message_user(request, text)


@admin.action(permissions=["manage"], description=gettext_lazy("Prepare selected exports again"))
def retry_exports(
    modeladmin: ZipExportAdmin, request: HttpRequest, queryset: QuerySet[Any]
) -> None:
    """Request them anew, in the name of their owners."""
    number = 0
    for export in queryset.select_related("owner"):
        try:
            request_again(export)
        except (LookupError, PermissionDenied, WrongArgumentsError) as error:
            problem = f"{export}: {error}"
            modeladmin.message_user(request, problem, messages.WARNING)
        else:
            number += 1
    text = _("Requested again: %(count)s") % {"count": number}
    modeladmin.message_user(request, text)


class ZipExportAdmin(_Admin):
    """A list to watch. Nothing can be edited; deleting a row deletes its file."""

    list_display = ("filename", "owner", "recipe", "state", "progress", "created", "expires")
    list_filter = ("state", "recipe")
    list_select_related = ("owner",)
    search_fields = ("filename", "recipe", "id")
    actions: Any = (cancel_exports, retry_exports)

    @admin.display(description=gettext_lazy("progress"))
    def progress(self, export: AbstractZipExport) -> str:
        """Return how far it is."""
        if export.fraction is None:
            return filesizeformat(export.bytes_done) if export.bytes_done else ""
        return f"{int(export.fraction * 100)} %"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Return False: exports are requested elsewhere."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False: a row is only changed by what it reports."""
        return False

    def has_manage_permission(self, request: HttpRequest) -> bool:
        """Return whether the user may cancel and retry: who has the permission to change."""
        return super().has_change_permission(request)


if not admin.site.is_registered(export_model()):
    admin.site.register(export_model(), ZipExportAdmin)
