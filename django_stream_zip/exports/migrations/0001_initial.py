"""The tables of exports and of parts."""

from __future__ import annotations

import uuid

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """Creates the tables."""

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ZipExport",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("recipe", models.CharField(max_length=100, verbose_name="recipe")),
                ("arguments", models.JSONField(default=dict)),
                ("filename", models.CharField(max_length=255, verbose_name="file name")),
                ("language", models.CharField(max_length=20)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "queued"),
                            ("building", "being built"),
                            ("finishing", "being finished"),
                            ("ready", "ready"),
                            ("failed", "failed"),
                            ("cancelled", "cancelled"),
                            ("expired", "expired"),
                        ],
                        db_index=True,
                        default="queued",
                        max_length=20,
                        verbose_name="state",
                    ),
                ),
                ("digest", models.CharField(editable=False, max_length=64, null=True, unique=True)),
                ("tag", models.CharField(blank=True, db_index=True, max_length=64)),
                ("length", models.BigIntegerField(null=True)),
                ("members", models.IntegerField(default=0)),
                ("crc_32", models.BigIntegerField(null=True)),
                ("missing", models.IntegerField(default=0)),
                ("planned", models.DateTimeField(null=True)),
                ("plans", models.IntegerField(default=0)),
                ("storage", models.CharField(max_length=100)),
                ("file", models.CharField(db_index=True, max_length=255)),
                ("token", models.TextField(blank=True)),
                ("bytes_done", models.BigIntegerField(default=0)),
                ("attempts", models.IntegerField(default=0)),
                ("heartbeat", models.DateTimeField(null=True)),
                ("enqueued", models.DateTimeField()),
                ("error", models.TextField(blank=True)),
                ("announced", models.BooleanField(default=False)),
                (
                    "created",
                    models.DateTimeField(default=django.utils.timezone.now, verbose_name="created"),
                ),
                ("ready", models.DateTimeField(null=True)),
                ("expires", models.DateTimeField(null=True, verbose_name="expires")),
                ("ended", models.DateTimeField(null=True)),
                (
                    "owner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="owner",
                    ),
                ),
            ],
            options={
                "verbose_name": "ZIP export",
                "verbose_name_plural": "ZIP exports",
                "ordering": ("-created",),
            },
        ),
        migrations.CreateModel(
            name="ZipExportPart",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("export", models.UUIDField()),
                ("plans", models.IntegerField()),
                ("number", models.IntegerField()),
                ("crc_32", models.BigIntegerField()),
            ],
            options={
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("export", "plans", "number"), name="zip_exports_one_of_each_part"
                    )
                ],
            },
        ),
    ]
