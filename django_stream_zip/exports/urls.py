"""URLs of exports: `path("exports/", include("django_stream_zip.exports.urls"))`."""

from __future__ import annotations

from django.urls import path

from django_stream_zip.exports import views

app_name = "zip_exports"
urlpatterns = [
    path("<uuid:pk>/", views.ExportStatusView.as_view(), name="status"),
    path("<uuid:pk>/file/", views.ExportFileView.as_view(), name="file"),
    path("<uuid:pk>/cancel/", views.ExportCancelView.as_view(), name="cancel"),
    path("<uuid:pk>/again/", views.ExportAgainView.as_view(), name="again"),
    path("shared/<str:token>/", views.SharedExportView.as_view(), name="shared"),
]
