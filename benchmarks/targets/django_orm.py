"""Django, by the advice of its page on database optimization."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qs, urlsplit

from benchmarks.rows import DEFAULTS, Row, is_nullable, kind_of, names


def database(url: str) -> dict[str, Any]:
    """The settings of one database."""
    if url.startswith("sqlite"):
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": url.removeprefix("sqlite:///"),
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "init_command": "PRAGMA journal_mode=wal; PRAGMA synchronous=NORMAL;",
            },
        }
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path.lstrip("/"),
        "USER": parts.username,
        "PASSWORD": parts.password or "",
        "HOST": parse_qs(parts.query).get("host", [parts.hostname])[0],
        "PORT": parse_qs(parts.query).get("port", [parts.port or ""])[0],
        "CONN_MAX_AGE": None,
        # A LIMIT is part of the text, so what is asked once must not be prepared: psycopg's own threshold.
        "OPTIONS": {"server_side_binding": True, "prepare_threshold": 5},
    }


class Target:
    """Instances by `objects`; `values` and `values_list` for dicts and tuples."""

    def __init__(self, url: str, model: int, settings_of: dict[str, Any] | None = None) -> None:
        import django
        from django.conf import settings

        settings.configure(
            DATABASES={"default": settings_of or database(url)},
            USE_TZ=True,
            DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        )
        django.setup()
        from django.db import connection, models, transaction

        kinds: dict[str, Any] = {
            "float": models.FloatField, "smallint": models.SmallIntegerField, "int": models.IntegerField,
            "bigint": models.BigIntegerField, "text": models.TextField, "json": models.JSONField,
        }  # fmt: skip

        def field(name: str) -> Any:
            kind = kind_of(name)
            options: dict[str, Any] = {"null": True} if is_nullable(name) else {"default": DEFAULTS[kind]}
            if kind == "json" and not is_nullable(name):
                options = {"default": DEFAULTS[kind].copy}
            if kind == "varchar":
                return models.CharField(max_length=255, **options)
            if kind == "decimal":
                return models.DecimalField(max_digits=12, decimal_places=4, **options)
            return kinds[kind](**options)

        body: dict[str, Any] = {
            "__module__": __name__,
            "timestamp": models.DateTimeField(),
            "level": models.IntegerField(db_index=True),
            "text": models.CharField(max_length=255, db_index=True),
            "Meta": type("Meta", (), {"app_label": "bench", "db_table": "journal"}),
        }
        if model == 2:
            body["parent"] = models.ForeignKey("self", models.CASCADE, null=True, related_name="children")
            body["related"] = models.ManyToManyField("self", symmetrical=False)
        if model == 3:
            body |= {name: field(name) for name in names(3)[3:]}
        self.model: Any = type("Journal", (models.Model,), body)
        self.names = names(model)
        self.atomic = transaction.atomic
        self.connection = connection
        if settings_of is None:
            with connection.schema_editor() as editor:
                editor.create_model(self.model)

    def make(self, row: Row) -> Any:
        return self.model(**dict(zip(self.names, row, strict=True)))

    def insert_each(self, rows: Sequence[Row], *, is_one_transaction: bool) -> None:
        create, names = self.model.objects.create, self.names
        if is_one_transaction:
            with self.atomic():
                for row in rows:
                    create(**dict(zip(names, row, strict=True)))
        else:
            for row in rows:
                create(**dict(zip(names, row, strict=True)))

    def bulk(self, rows: Sequence[Row]) -> None:
        self.model.objects.bulk_create([self.make(row) for row in rows])

    def everything(self) -> list[Any]:
        return list(self.model.objects.order_by("id"))

    def pages(self, offsets: Sequence[int]) -> list[Any]:
        found = self.model.objects.order_by("id")
        return [row for offset in offsets for row in found[offset : offset + 20]]

    def get(self, keys: Sequence[int]) -> list[Any]:
        get = self.model.objects.get
        return [get(id=key) for key in keys]

    def dicts(self) -> list[Any]:
        return list(self.model.objects.order_by("id").values("id", *self.names))

    def tuples(self) -> list[Any]:
        return list(self.model.objects.order_by("id").values_list("id", *self.names))

    def load(self, first: int, count: int) -> list[Any]:
        return list(self.model.objects.filter(id__gte=first).order_by("id")[:count])

    def change_all(self, objects: Sequence[Any], rows: Sequence[Row]) -> None:
        names = self.names
        with self.atomic():
            for one, row in zip(objects, rows, strict=True):
                for name, value in zip(names, row, strict=True):
                    setattr(one, name, value)
                one.save()

    def change_one(self, objects: Sequence[Any], levels: Sequence[int]) -> None:
        with self.atomic():
            for one, level in zip(objects, levels, strict=True):
                one.level = level
                one.save(update_fields=["level"])

    def delete_each(self, objects: Sequence[Any]) -> None:
        with self.atomic():
            for one in objects:
                one.delete()

    def change_together(self, objects: Sequence[Any], levels: Sequence[int]) -> None:
        for one, level in zip(objects, levels, strict=True):
            one.level = level
        self.model.objects.bulk_update(objects, ["level"])

    def change_all_together(self, objects: Sequence[Any], rows: Sequence[Row]) -> None:
        for one, row in zip(objects, rows, strict=True):
            for name, value in zip(self.names, row, strict=True):
                setattr(one, name, value)
        self.model.objects.bulk_update(objects, self.names)

    def delete_together(self, objects: Sequence[Any]) -> None:
        self.model.objects.filter(pk__in=[one.pk for one in objects]).delete()

    def plain(self, found: Sequence[Any]) -> list[Row]:
        return [tuple([getattr(one, name) for name in ("id", *self.names)]) for one in found]

    def close(self) -> None:
        self.connection.close()
