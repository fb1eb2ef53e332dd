"""Operations L to O: movies with their people and reviews, read and written whole.

A target is a class with these methods; those of an awaiting library are coroutines. What they give is plain, as a
server would send it: the same nested tuples from all.

- `movies(keys)`, L: `(title, year, directors, [(person, role)], [(rating, text, user)], average rating)` each.
- `people(keys)`, M: `(name, [(title, year)] directed, [(role, title, year)] played)` each.
- `users(keys)`, N: `(name, [(rating, title)])` each, of the ten newest reviews.
- `add(movies)`, O: each movie inserted with its directors and its cast in a transaction, then read whole, as in L.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from benchmarks.movies import data as data

MODULES = {
    "raw": "raw",
    "datalayer": "ours",
    "datalayer-async": "ours_async",
    "django": "django_orm",
    "sqlalchemy": "sqlalchemy_orm",
    "sqlalchemy-core": "sqlalchemy_core",
    "sqlmodel": "sqlmodel_orm",
    "peewee": "peewee_orm",
    "pony": "pony_orm",
    "tortoise": "tortoise_orm",
    "piccolo": "piccolo_orm",
}


def make(name: str, url: str) -> Any:
    """The target of that name, on a database that is full."""
    library, _, tasks = name.rpartition("-")
    is_many = tasks.isdigit()
    module = import_module(f"benchmarks.movies.{MODULES[library if is_many else name]}")
    return module.Target(url, **({"tasks": int(tasks)} if is_many else {}))
