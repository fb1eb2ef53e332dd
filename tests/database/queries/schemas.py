"""Schemas by chance: models of every kind of field, key and relation, and rows for them with a copy in plain Python."""

from __future__ import annotations

import enum
import random
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from datalayer import (
    CASCADE,
    SET_NULL,
    BigInt,
    Field,
    ForeignKey,
    ManyToMany,
    Mapped,
    Model,
    ModelBase,
    OneToOne,
    PrimaryKey,
    Range,
    UUIDModel,
)
from datalayer.models import registry


class Mood(enum.StrEnum):
    CALM = "calm"
    WILD = "wild's"
    NONE = ""


@dataclass(frozen=True)
class Kind:
    """A kind of field: its annotation, its options, and the values rows may have."""

    annotation: Any
    options: dict[str, Any]
    pool: tuple[Any, ...]
    is_ordered: bool = True
    is_text: bool = False
    is_number: bool = False


_DAY = timedelta(days=1)
KINDS: dict[str, Kind] = {
    "whole": Kind(int, {}, (-7, -1, 0, 1, 2, 3, 2_000_000_000), is_number=True),
    "big": Kind(BigInt, {}, (-(2**62), -1, 0, 5, 2**53 + 1, 2**62), is_number=True),
    "real": Kind(float, {}, (-1.5, 0.0, 0.1, 0.30000000000000004, 2.5, 1e10), is_number=True),
    "price": Kind(
        Decimal,
        {"max_digits": 8, "decimal_places": 2},
        tuple(Decimal(text) for text in ("-3.50", "0", "0.01", "1.10", "10", "9.99", "999999.99")),
        is_number=True,
    ),
    "wide": Kind(
        Decimal,
        {"max_digits": 30, "decimal_places": 10},
        tuple(Decimal(t) for t in ("-12345678901234567890.0000000001", "-1", "0", "9", "10", "12345678901234567890.1")),
        is_number=True,
    ),
    "text": Kind(
        str,
        {"max_length": 40},
        ("", "a", "A", "ab", "b%", "a_b", "\\", "é", "É", "x'y", '"', "[a]", "*", "a b", "ab\nc", ":x", "%s", "{0}"),
        is_ordered=False,
        is_text=True,
    ),
    "flag": Kind(bool, {}, (True, False), is_ordered=False),
    "day": Kind(date, {}, (date(1969, 12, 29), date(2020, 1, 1), date(2020, 2, 29), date(9999, 12, 31))),
    "moment": Kind(
        datetime,
        {},
        (
            datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
            datetime(2020, 1, 1, tzinfo=UTC),
            datetime(2020, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
            datetime(2021, 6, 15, 0, 0, 1, tzinfo=UTC),
        ),
    ),
    "hour": Kind(time, {}, (time(0), time(8, 30), time(23, 59, 59, 999999))),
    "span": Kind(timedelta, {}, (timedelta(0), _DAY, -_DAY, timedelta(microseconds=1), timedelta(days=400))),
    "token": Kind(UUID, {}, (UUID(int=0), UUID(int=1), UUID("ffffffff-ffff-4fff-bfff-ffffffffffff")), is_ordered=False),
    "mood": Kind(Mood, {}, tuple(Mood), is_ordered=False),
    "stretch": Kind(
        Range[int],
        {},
        tuple(Range(*ends) for ends in ((1, 5), (5, 9), (2, 3), (None, 5), (5, None), (None, None), (3, 3), (-4, 1))),
        is_ordered=False,
    ),
    "season": Kind(
        Range[date],
        {},
        tuple(Range(low, low + days * _DAY) for low in (date(1969, 12, 29), date(2020, 1, 1)) for days in (0, 1, 60)),
        is_ordered=False,
    ),
    "raw": Kind(bytes, {}, (b"", b"\x00", b"a", b"\xff'"), is_ordered=False),
}  # fmt: skip


@dataclass
class FieldPlan:
    """A field of a model."""

    name: str
    kind: str
    is_nullable: bool
    column: str | None = None


@dataclass
class Link:
    """A relation as one of its ends sees it."""

    name: str
    target: ModelPlan
    is_many: bool


@dataclass
class RelationPlan:
    """A declared relation: a foreign key, one to one or many to many."""

    name: str
    kind: str
    target: ModelPlan
    is_nullable: bool
    back: str
    through: str | None = None


@dataclass(eq=False)
class ModelPlan:
    """A model to be made."""

    name: str
    key: str
    fields: list[FieldPlan] = field(default_factory=list)
    relations: list[RelationPlan] = field(default_factory=list)
    links: dict[str, Link] = field(default_factory=dict)
    model: Any = None

    def __repr__(self) -> str:
        return self.name


@dataclass(eq=False)
class Row:
    """A row in plain Python; `ends` has the rows behind each relation, from both sides."""

    plan: ModelPlan
    values: dict[str, Any]
    ends: dict[str, list[Row]] = field(default_factory=dict)
    pk: Any = None

    def at(self, name: str) -> list[Row]:
        return self.ends.get(name, [])

    def __repr__(self) -> str:
        return (
            f"{self.plan.name}({self.pk!r}, {self.values}, { ({k: [r.pk for r in v] for k, v in self.ends.items()}) })"
        )


@dataclass
class Schema:
    """Models and their rows."""

    models: list[ModelPlan]
    rows: dict[str, list[Row]]

    @property
    def classes(self) -> list[Any]:
        """Every model class, those between two others included."""
        return self.throughs + [plan.model for plan in self.models]

    throughs: list[Any] = field(default_factory=list)


def drawn(chance: random.Random, mark: str) -> Schema:
    """A schema of two to four models; `mark` makes the names of its tables its own."""
    models: list[ModelPlan] = []
    for number in range(chance.randint(2, 4)):
        plan = ModelPlan(f"M{number}", chance.choice(["id", "id", "uuid", "text", "pair"]))
        for name in chance.sample(sorted(KINDS), chance.randint(2, 6)):
            column = chance.choice([None, None, None, f'{name} "col%s'])
            plan.fields.append(FieldPlan(name, name, chance.random() < 0.5, column))
        models.append(plan)
    for number, plan in enumerate(models):
        for place in range(chance.randint(1, 3)):
            kind = chance.choice(["fk", "fk", "one", "many", "through"])
            can_be_later = kind in {"many", "through"}
            target = chance.choice(models if can_be_later else models[: number + 1])
            is_nullable = chance.random() < 0.5 or target is plan
            plan.relations.append(RelationPlan(f"r{place}", kind, target, is_nullable, f"{plan.name.lower()}_r{place}"))
    schema = Schema(models, {})
    for plan in models:
        _build(plan, schema, mark)
    registry.tables()
    for plan in models:
        for relation in plan.relations:
            plan.links[relation.name] = Link(relation.name, relation.target, relation.kind in {"many", "through"})
            relation.target.links[relation.back] = Link(relation.back, plan, relation.kind != "one")
    return schema


def _build(plan: ModelPlan, schema: Schema, mark: str) -> None:
    base: Any = {"id": Model, "uuid": UUIDModel}.get(plan.key, ModelBase)
    annotations: dict[str, Any] = {}
    body: dict[str, Any] = {}
    meta: dict[str, Any] = {"table": f'{mark}_{plan.name} "x%s'}
    if plan.key == "text":
        annotations["code"], body["code"] = Mapped[str], PrimaryKey(max_length=20)
    if plan.key == "pair":
        annotations["left"], body["left"] = Mapped[int], Field()
        annotations["right"], body["right"] = Mapped[str], Field(max_length=10)
        meta["primary_key"] = ("left", "right")
    for item in plan.fields:
        kind = KINDS[item.kind]
        options = dict(kind.options)
        if item.column:
            options["column"] = item.column
        annotations[item.name] = Mapped[kind.annotation | None] if item.is_nullable else Mapped[kind.annotation]
        body[item.name] = Field(**(options | ({"default": None} if item.is_nullable else {})))
    for relation in plan.relations:
        _relate(plan, relation, annotations, body, schema, mark)
    body["__annotations__"] = annotations
    body["__module__"] = __name__
    body["Meta"] = type("Meta", (), meta)
    plan.model = types.new_class(plan.name, (base,), {}, lambda namespace: namespace.update(body))


def _relate(
    plan: ModelPlan,
    relation: RelationPlan,
    annotations: dict[str, Any],
    body: dict[str, Any],
    schema: Schema,
    mark: str,
) -> None:
    target = relation.target.name
    name = relation.name
    if relation.kind in {"many", "through"}:
        options: dict[str, Any] = {"related_name": relation.back}
        if relation.target is plan:
            options["symmetrical"] = False
        if relation.kind == "through":
            relation.through = f"T{plan.name}{name}"
            options |= {"through": relation.through, "through_fields": ("one", "other")}
            between: dict[str, Any] = {"weight": Field(default=0)}
            types_between: dict[str, Any] = {"weight": Mapped[int]}
            for side, end in (("one", plan), ("other", relation.target)):
                given = {"on_delete": CASCADE, "related_name": "+"} | _key_fields(side, end, types_between, between)
                types_between[side], between[side] = ForeignKey[end.name], ForeignKey(**given)  # type: ignore[name-defined]
            between |= {
                "__module__": __name__,
                "__annotations__": types_between,
                "Meta": type("Meta", (), {"table": f"{mark}_{relation.through}"}),
            }
            schema.throughs.append(types.new_class(relation.through, (Model,), {}, lambda space: space.update(between)))
        else:
            options["db_table"] = f"{mark} {plan.name} {name}"
        annotations[name], body[name] = ManyToMany[target], ManyToMany(**options)  # type: ignore[valid-type]
        return
    form: Any = ForeignKey if relation.kind == "fk" else OneToOne
    options = {"related_name": relation.back, "on_delete": SET_NULL if relation.is_nullable else CASCADE}
    options |= _key_fields(name, relation.target, annotations, body, is_nullable=relation.is_nullable)
    if relation.is_nullable:
        options["default"] = None
    annotations[name] = form[f"{target} | None" if relation.is_nullable else target]
    body[name] = form(**options)


def _key_fields(
    name: str, target: ModelPlan, annotations: dict[str, Any], body: dict[str, Any], *, is_nullable: bool = False
) -> dict[str, Any]:
    """Declares the fields that hold a key of two columns, and gives the options that name them."""
    if target.key != "pair":
        return {}
    for part, annotation, more in (("left", int, {}), ("right", str, {"max_length": 10})):
        options: dict[str, Any] = more | ({"default": None} if is_nullable else {})
        annotations[f"{name}_{part}"] = Mapped[annotation | None] if is_nullable else Mapped[annotation]
        body[f"{name}_{part}"] = Field(**options)
    return {"fields": (f"{name}_left", f"{name}_right")}


# -- rows ------------------------------------------------------------------------------------------


def filled(chance: random.Random, schema: Schema, call: Callable[..., Any]) -> None:
    """Writes rows by chance, and keeps them in `schema.rows`; `call(manager, method, ...)` waits for the database."""
    made: dict[int, Any] = {}
    for plan in schema.models:
        rows = [
            Row(plan, {item.name: _value(chance, item) for item in plan.fields})
            for _ in range(chance.choice([0, 1, 3, 6, 9]))
        ]
        schema.rows[plan.name] = rows
        _linked(chance, plan, rows, schema)
        rows = schema.rows[plan.name]
        instances = []
        for number, row in enumerate(rows):
            given = dict(row.values)
            if plan.key == "text":
                given["code"] = f"k'{number}"
            if plan.key == "pair":
                given |= {"left": number // 2, "right": f"%{number % 2}"}
            for relation in plan.relations:
                if relation.kind in {"fk", "one"} and relation.target is not plan and row.at(relation.name):
                    given[relation.name] = made[id(row.at(relation.name)[0])]
            instances.append(plan.model(**given))
        call(plan.model.objects, "bulk_create", instances)
        for row, instance in zip(rows, instances, strict=True):
            row.pk = instance.pk
            made[id(row)] = instance
        for relation in plan.relations:  # a row must be there before another one of its table refers to it
            if relation.kind in {"fk", "one"} and relation.target is plan:
                for row in rows:
                    if row.at(relation.name):
                        setattr(made[id(row)], relation.name, made[id(row.at(relation.name)[0])])
                call(plan.model.objects, "bulk_update", instances, [relation.name])
    classes = {model.__name__: model for model in schema.throughs}
    for plan in schema.models:
        for relation in plan.relations:
            if relation.kind not in {"many", "through"}:
                continue
            for row in schema.rows[plan.name]:
                others = schema.rows[relation.target.name]
                ends = chance.sample(others, chance.randint(0, min(3, len(others))))
                for other in ends:
                    _tie(row, relation, other)
                if relation.through is not None:
                    links = [classes[relation.through](one=made[id(row)], other=made[id(other)]) for other in ends]
                    call(classes[relation.through].objects, "bulk_create", links)
                elif ends:
                    call(getattr(made[id(row)], relation.name), "add", *[made[id(other)] for other in ends])


def _value(chance: random.Random, item: FieldPlan) -> Any:
    return None if item.is_nullable and chance.random() < 0.35 else chance.choice(KINDS[item.kind].pool)


def _linked(
    chance: random.Random,
    plan: ModelPlan,
    rows: list[Row],
    schema: Schema,
) -> None:
    for relation in sorted(plan.relations, key=lambda relation: relation.target is plan):  # rows may go until then
        if relation.kind not in {"fk", "one"}:
            continue
        free = list(rows if relation.target is plan else schema.rows[relation.target.name])
        chance.shuffle(free)
        for row in list(rows):
            if relation.is_nullable and chance.random() < 0.3:
                continue
            if not free:
                if not relation.is_nullable:  # nothing it could refer to
                    _forget(row, plan)
                    rows.remove(row)
                continue
            _tie(row, relation, free.pop() if relation.kind == "one" else chance.choice(free))


def _tie(row: Row, relation: RelationPlan, other: Row) -> None:
    row.ends.setdefault(relation.name, []).append(other)
    other.ends.setdefault(relation.back, []).append(row)


def _forget(row: Row, plan: ModelPlan) -> None:
    for relation in plan.relations:
        for other in row.ends.pop(relation.name, []):
            other.ends[relation.back].remove(row)
