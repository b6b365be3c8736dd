"""What a row holds of its file: size, CRC-32 and a time, taken down when the file is uploaded.

With these in the row, members are made without asking the storage, and their archive has a length,
ranges and complete headers. Here are the columns and what fills them. Knows models and their file
fields, neither members nor requests, and asks nothing of a storage.

Each content that a FileField stores goes through its `FieldFile.save()`, be it by `save()`,
`asave()`, `bulk_create()` or `instance.file.save()`: that's where it is read, for any kind of
FileField. (A `pre_save` alone doesn't see what `instance.file.save()` stores, and a signal not what
`bulk_create()` does.) The columns' own `pre_save` has the file stored first, so the order of a
model's fields doesn't matter, and it drops facts beside a file that was only named. For what needs
the whole instance, which fields are loaded and which are saved, there is the mixin in `models`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias

from django.core import checks
from django.core.files.base import File
from django.db import models
from django.db.models.fields.files import FieldFile
from django.db.models.signals import class_prepared
from django.utils import timezone

from django_stream_zip.engine.accelerators import crc32

if TYPE_CHECKING:
    _Field = models.Field[Any, Any]
    _Integer = models.PositiveBigIntegerField[int | None, int | None]
    _DateTime = models.DateTimeField[datetime | None, datetime | None]
    _Char = models.CharField[str | None, str | None]
else:
    _Field = object
    _Integer = models.PositiveBigIntegerField
    _DateTime = models.DateTimeField
    _Char = models.CharField

# A file's facts by their names: "size" (bytes), "crc_32", "modified_at" and "validator". Empty if
# not known.
Values: TypeAlias = Mapping[str, Any]

# Where an instance keeps what its facts are of: by file field its name and the facts beside it.
_SEEN: Final = "_zip_metadata_seen"


class MetadataField(_Field):
    """A column that holds a fact of a file of the same row. Not used itself.

    `file_field` names the FileField; the model's only one needn't be named. The column is null
    where nobody knows. Migrations have Django's own field for it, and so don't need this package.
    """

    #: Which one: a key of `Values`.
    fact: ClassVar[str]

    def __init__(self, file_field: str = "", **options: Any) -> None:
        self.file_field = file_field
        super().__init__(**{"null": True, "blank": True, "editable": False, **options})

    def deconstruct(self) -> Any:
        """Describe the column for migrations."""
        name, _, args, kwargs = super().deconstruct()
        return name, f"django.db.models.{self.get_internal_type()}", args, kwargs

    def clone(self) -> Any:
        """Make another one like it, for a model that isn't this one."""
        made = super().clone()
        made.file_field = self.file_field
        return made

    def contribute_to_class(
        self, cls: Any, name: str, private_only: bool = False, **options: Any
    ) -> None:
        """Become a field of the model, and look for the file field when it has all of its own."""
        super().contribute_to_class(cls, name, private_only=private_only, **options)
        if not cls._meta.abstract:
            class_prepared.connect(self._attach, sender=cls)

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """Give the fact of the file as it is saved, which means to store it first."""
        for field in file_fields(type(model_instance)):
            if self.attname in columns_of(field).values():
                _settle(model_instance, field, add)
        return super().pre_save(model_instance, add)

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        """Check that there is such a file field."""
        found: list[checks.CheckMessage] = list(super().check(**kwargs))
        file_field = self._of()
        if file_field is None:
            names = ", ".join(field.name for field in self._own_file_fields()) or "none"
            wanted = repr(self.file_field) if self.file_field else "just one file field"
            message = f"The model must have {wanted} of its own; it has {names}."
            hint = "Name the file field: ZipSizeField('file'). See docs/members.rst."
            found.append(checks.Error(message, hint, obj=self, id="django_stream_zip.E005"))
        elif self.fact == "size" and (option := overwriting_option(file_field.storage)):
            message = (
                "Its storage overwrites files: rows of one name would have each other's facts."
            )
            hint = f"Set the storage's option {option}."
            found.append(checks.Warning(message, hint, obj=self, id="django_stream_zip.W001"))
        if not hasattr(self.model, "zip_metadata_at_upload"):
            message = "The model must inherit from ZipMetadataMixin, which keeps it up to date."
            found.append(checks.Error(message, obj=self, id="django_stream_zip.E006"))
        return found

    def _attach(self, **kwargs: Any) -> None:
        file_field = self._of()
        if file_field is None:
            return  # the check says so
        vars(file_field).setdefault("zip_columns", {})[self.fact] = self.attname
        if not issubclass(file_field.attr_class, MetadataFieldFile):
            file_field.attr_class = _with_facts(file_field.attr_class)

    def _of(self) -> models.FileField | None:
        """Give the file field. One of a parent's table could be saved without this column."""
        named = [f for f in self._own_file_fields() if self.file_field in ("", f.name)]
        return named[0] if len(named) == 1 else None

    def _own_file_fields(self) -> list[models.FileField]:
        return [f for f in self.model._meta.local_fields if isinstance(f, models.FileField)]


# What makes storages overwrite: an attribute, its value, and the option to set instead.
_OVERWRITING: Final = (
    ("file_overwrite", True, "file_overwrite to False"),  # S3, Google Cloud
    ("overwrite_files", True, "overwrite_files to False"),  # Azure
    ("_allow_overwrite", True, "allow_overwrite to False"),  # Django's own, since 5.1
    ("allow_overwrite", True, "allow_overwrite to False"),  # FTP
    ("write_mode", "overwrite", "write_mode to 'add'"),  # Dropbox
)


def overwriting_option(storage: Any) -> str | None:
    """Return what to set so that a storage doesn't overwrite files; None if it does not."""
    for attribute, value, option in _OVERWRITING:
        if getattr(storage, attribute, None) == value:
            return option
    return None


class ZipSizeField(MetadataField, _Integer):
    """Holds the number of bytes of a file."""

    fact = "size"


class ZipCRC32Field(MetadataField, _Integer):
    """Holds the CRC-32 of a file's bytes."""

    fact = "crc_32"


class ZipModifiedAtField(MetadataField, _DateTime):
    """Holds a time that is another one whenever a file's content is: when it was uploaded."""

    fact = "modified_at"


class ZipValidatorField(MetadataField, _Char):
    """Holds what the storage itself tells states of a file apart by: an ETag, a generation.

    It is asked for it after an upload. Empty where it has none, null where it couldn't be asked.
    """

    fact = "validator"

    def __init__(self, file_field: str = "", **options: Any) -> None:
        super().__init__(file_field, **{"max_length": 255, **options})


class MetadataFieldFile(FieldFile):
    """A FieldFile that takes down the facts of what it stores."""

    def save(self, name: str, content: File[Any], save: bool = True) -> None:
        """Store a content as the field's file, and set the facts on the instance."""
        is_read = getattr(self.instance, "zip_metadata_at_upload", True)
        values = facts_of(content) if is_read else {}
        super().save(name, content, save=False)
        ask = getattr(self.instance, "zip_validator_of", None)
        if values and ask is not None and "validator" in columns_of(self.field):
            values = {**values, "validator": ask(self)}
        _set(self.instance, self.field, values)
        remember(self.instance, [self.field.attname])
        if save:
            self.instance.save()

    def delete(self, save: bool = True) -> None:
        """Delete the file, and forget its facts."""
        if self:
            _set(self.instance, self.field, {})
        super().delete(save)

    @property
    def zip_metadata(self) -> Values:
        """What the row holds: options of `field_member`, such as `size` and `crc_32`.

        Nothing where another file was named since.
        """
        if _is_new(self.instance, self.field):
            return {}
        columns = columns_of(self.field).items()
        return {fact: getattr(self.instance, column) for fact, column in columns}

    def __reduce__(self) -> Any:
        # Its class is made on the fly for some fields, and pickle has to find it again.
        return _blank, (self.field,), self.__getstate__()


def _with_facts(attr_class: type[FieldFile]) -> type[FieldFile]:
    if issubclass(MetadataFieldFile, attr_class):
        return MetadataFieldFile
    # Behind it: what it makes of a content before it is stored, the facts are of.
    return type(f"Facts{attr_class.__name__}", (attr_class, MetadataFieldFile), {})


def _blank(field: models.FileField) -> FieldFile:
    return field.attr_class.__new__(field.attr_class)


def columns_of(file_field: models.FileField) -> Mapping[str, str]:
    """Give the columns with the facts of a field's files, by fact; none if nobody declared any."""
    columns: Mapping[str, str] = getattr(file_field, "zip_columns", {})
    return columns


def file_fields(model: type[models.Model]) -> tuple[models.FileField, ...]:
    """Give the file fields of whose files a model's rows hold facts, those of its parents too."""
    return _file_fields(model._meta)


@cache
def _file_fields(options: Any) -> tuple[models.FileField, ...]:
    fields = [field for field in options.concrete_fields if isinstance(field, models.FileField)]
    return tuple(field for field in fields if columns_of(field))


def facts_of(content: Any) -> Values:
    """Read a content, which may stand anywhere, and put it back to its beginning.

    Gives nothing for what can't be read twice, and for text, of which the storage makes bytes.
    """
    file = content if hasattr(content, "chunks") else File(content)
    try:
        file.seek(0)
    except (AttributeError, OSError, ValueError):
        return {}
    size = crc_32 = 0
    for chunk in file.chunks():
        if isinstance(chunk, str):
            return {}
        size += len(chunk)
        crc_32 = crc32(chunk, crc_32)
    # Not where it was: not every storage goes to the beginning itself.
    file.seek(0)
    return {"size": size, "crc_32": crc_32, "modified_at": timezone.now()}


def remember(instance: models.Model, fields: Collection[str] | None = None) -> None:
    """Take note that the facts beside these file fields (all if None) are of their files.

    By that is found out later that a file was replaced by naming another one. Columns of facts
    among the `fields` were loaded later than the others.
    """
    seen = dict(getattr(instance, _SEEN, {}))
    for field in file_fields(type(instance)):
        name, facts = _state(instance, field)
        if fields is None or field.attname in fields:
            seen[field.attname] = name, facts
        elif field.attname in seen:
            seen[field.attname] = seen[field.attname][0], facts
    instance.__dict__[_SEEN] = seen


def saved_with_metadata(
    instance: models.Model, update_fields: Iterable[str] | None
) -> set[str] | None:
    """Give the fields to save, with the facts of each file among them.

    Facts that were deferred are loaded no more: a new file has others.
    """
    names = None if update_fields is None else set(update_fields)
    held = instance.__dict__
    for field in file_fields(type(instance)):
        columns = columns_of(field).values()
        if names is not None and field.name not in names:
            if _is_new(instance, field):
                names.difference_update(columns)  # which would be those of a file not yet saved
            continue
        if _is_new(instance, field):
            for column in columns:
                held.setdefault(column, None)
        if names is not None:
            names.update(column for column in columns if column in held)
    return names


def _is_new(instance: models.Model, field: models.FileField) -> bool:
    """Tell whether the file isn't the one that the database has."""
    if field.attname not in instance.__dict__:
        return False
    file = instance.__dict__[field.attname]
    is_upload = isinstance(file, File) and not getattr(file, "_committed", False)
    seen = getattr(instance, _SEEN, {}).get(field.attname)
    return is_upload or seen is None or _state(instance, field)[0] != seen[0]


def _settle(instance: models.Model, field: models.FileField, add: bool) -> None:
    """Have the file stored, and see that no facts of another one stay beside it."""
    if field.attname not in instance.__dict__:
        return
    field.pre_save(instance, add)
    name, facts = _state(instance, field)
    seen_name, seen_facts = getattr(instance, _SEEN, {}).get(field.attname, (name, facts))
    # Facts that are new as well are of the new file: whoever named it knows them.
    if not name or (name != seen_name and facts == seen_facts):
        _set(instance, field, {})
    elif name != seen_name:
        _drop_validator(instance, field, seen_facts)
    remember(instance, [field.attname])


def _drop_validator(instance: models.Model, field: models.FileField, seen: tuple[Any, ...]) -> None:
    """Drop another file's validator, where whoever named a new file left it beside new facts."""
    columns = columns_of(field)
    was = dict(zip(columns, seen, strict=True)).get("validator")
    if was is not None and getattr(instance, columns["validator"]) == was:
        setattr(instance, columns["validator"], None)


def _state(instance: models.Model, field: models.FileField) -> tuple[str | None, tuple[Any, ...]]:
    """Give the file's name and the facts as the instance has them, each None if deferred."""
    held = instance.__dict__
    name = str(held[field.attname] or "") if field.attname in held else None
    return name, tuple(held.get(column) for column in columns_of(field).values())


def _set(instance: models.Model, field: models.FileField, values: Values) -> None:
    for fact, column in columns_of(field).items():
        setattr(instance, column, values.get(fact))
