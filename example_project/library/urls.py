"""URLs of the library."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from library import views

app_name = "library"

urlpatterns = [
    path("", views.index, name="index"),
    path("download/", views.SelectedDocuments.as_view(), name="download"),
    path("folders/<slug:slug>/download/", views.FolderDownload.as_view(), name="folder-download"),
    path("folders/<slug:slug>/save/", views.save_folder, name="folder-save"),
    path("login/", LoginView.as_view(template_name="library/login.html"), name="login"),
    path("logout/", LogoutView.as_view(next_page="library:index"), name="logout"),
]

if settings.BACKGROUND:
    from library import exporting

    urlpatterns += [
        path("exports/", exporting.MyExports.as_view(), name="exports"),
        path("folders/<slug:slug>/export/", exporting.FolderExport.as_view(), name="folder-export"),
    ]
