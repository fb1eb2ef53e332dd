"""Reads back what a database really has, to compare two ways of getting there."""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa

from datalayer.migrations import config


def live_schema() -> dict[str, Any]:
    """Everything reflection can see, in a form that does not depend on the order it was made in."""
    with config.environment("default").connect() as connection:
        look = sa.inspect(connection)
        return {
            table: {
                "columns": {
                    column["name"]: (
                        str(column["type"]),
                        column["nullable"],
                        column["default"],
                        column.get("identity") is not None,
                    )
                    for column in sorted(look.get_columns(table), key=lambda one: str(one["name"]))
                },
                "primary key": look.get_pk_constraint(table)["constrained_columns"],
                "unique": sorted((u["name"], u["column_names"]) for u in look.get_unique_constraints(table)),
                "checks": sorted((c["name"], plain(c["sqltext"])) for c in look.get_check_constraints(table)),
                "keys": sorted(
                    (k["name"], k["constrained_columns"], k["referred_table"], k["referred_columns"], str(k["options"]))
                    for k in look.get_foreign_keys(table)
                ),
                "indexes": sorted(
                    (
                        i["name"],
                        str(i.get("expressions") or i["column_names"]),
                        i["unique"],
                        plain_options(i["dialect_options"]),
                    )
                    for i in look.get_indexes(table)
                    if "duplicates_constraint" not in i
                ),
            }
            for table in look.get_table_names()
            if table not in ("alembic_version", "datalayer_migrations", "sqlite_sequence")
        }


def plain(text: str) -> str:
    return re.sub(r"[\s()]", "", text)


def plain_options(options: dict[str, Any]) -> list[str]:
    return sorted(f"{name} {value}" for name, value in options.items())
