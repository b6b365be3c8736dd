"""The first tables: folders and documents."""

from __future__ import annotations

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

import library.models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Folder",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "name",
                    models.CharField(
                        max_length=100,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A(?!\\.{1,2}\\Z)[^/\\\\\\x00-\\x1f]+\\Z",
                                "A name may not hold a slash, a backslash or a line break.",
                            )
                        ],
                    ),
                ),
                ("slug", models.SlugField(max_length=100, unique=True)),
                ("description", models.TextField(blank=True)),
            ],
            options={
                "ordering": ["name"],
            },
        ),
        migrations.CreateModel(
            name="Document",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("title", models.CharField(max_length=200)),
                (
                    "name",
                    models.CharField(
                        blank=True,
                        help_text="The name in a ZIP. Leave it empty to take the name of the file.",
                        max_length=200,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A(?!\\.{1,2}\\Z)[^/\\\\\\x00-\\x1f]+\\Z",
                                "A name may not hold a slash, a backslash or a line break.",
                            )
                        ],
                        verbose_name="file name",
                    ),
                ),
                ("file", models.FileField(max_length=400, upload_to=library.models.stored_path)),
                (
                    "content_type",
                    models.CharField(blank=True, max_length=100, verbose_name="content type"),
                ),
                (
                    "size",
                    models.PositiveBigIntegerField(editable=False, verbose_name="size in bytes"),
                ),
                (
                    "uploaded_at",
                    models.DateTimeField(
                        default=django.utils.timezone.now, verbose_name="uploaded"
                    ),
                ),
                (
                    "folder",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="documents",
                        to="library.folder",
                    ),
                ),
            ],
            options={
                "ordering": ["folder__name", "name", "pk"],
            },
        ),
    ]
