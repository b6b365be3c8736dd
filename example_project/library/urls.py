"""URLs of the library."""

from __future__ import annotations

from django.urls import path

from library import views

app_name = "library"

urlpatterns = [
    path("", views.index, name="index"),
    path("download/", views.SelectedDocuments.as_view(), name="download"),
    path("folders/<slug:slug>/download/", views.FolderDownload.as_view(), name="folder-download"),
    path("folders/<slug:slug>/save/", views.save_folder, name="folder-save"),
]
