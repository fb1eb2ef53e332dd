"""Chains by chance: filters, annotations, windows and filters on those in any order, and a question at the end."""

from __future__ import annotations

import contextlib
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from datalayer import Case, Count, Exists, F, Max, Min, OuterRef, Q, Subquery, Sum, Value, When, Window, atomic
from datalayer import functions as fn
from tests.database.queries import answers
from tests.database.queries.answers import condition, end, times, value
from tests.database.queries.questions import (
    KEYS,
    NO_CHOICE,
    Asker,
    UndoneError,
    known_values,
    moved_under,
    number_names,
    sum_of,
)
from tests.database.queries.schemas import Row

_Found = tuple[Row, dict[str, Any]]
_OVER: dict[str, Callable[[list[Any]], Any]] = {
    "Sum": sum_of,
    "Max": lambda values: max(values, default=None),
    "Min": lambda values: min(values, default=None),
}


class Chain:
    """A query in the making, and what it must find.

    Attributes:
        query: What is asked.
        rows: The rows that its plain filters leave, with their annotations.
        kinds: What kind of value each annotation is: `number`, or the kind of a field.
        windows: Of each window: its name, and the key of the part that a row lies in.
        limits: The filters on windows.
    """

    def __init__(self, ask: Asker) -> None:
        self.ask = ask
        self.query = ask.objects.all()
        self.rows: list[_Found] = [(row, {}) for row in ask.rows]
        self.kinds: dict[str, str] = {}
        self.windows: list[tuple[str, Callable[[_Found], Any]]] = []
        self.limits: list[tuple[str, int]] = []
        self.manys = sorted(name for name, link in ask.plan.links.items() if link.is_many)
        steps = [self.filter, self.filter, self.value, self.case, self.window, self.on_number, self.on_number]
        steps += [self.count, self.count, self.total, self.first, self.exists] if self.manys else []
        for _ in range(ask.chance.randint(2, 5)):
            ask.chance.choice(steps)()

    def _named(self, kind: str) -> str:
        name = f"the{len(self.kinds) + len(self.windows)}"
        self.kinds[name] = kind
        return name

    def _annotated(self, name: str, node: Any, work: Callable[[Row], Any]) -> None:
        self.query = self.query.annotate(**{name: node})
        for row, beside in self.rows:
            beside[name] = work(row)

    def filter(self) -> None:
        tree, is_out = self.ask.one_tree(), self.ask.chance.random() < 0.3
        self.query = self.query.exclude(condition(tree)) if is_out else self.query.filter(condition(tree))
        self.rows = [found for found in self.rows if bool(times(found[0], tree)) is not is_out]

    def value(self) -> None:
        path, last = answers.path_by_chance(self.ask.chance, self.ask.plan, is_one=True)
        item = self.ask.chance.choice(last.fields)
        name = self._named(item.kind)
        self._annotated(
            name, F(answers.named(path, item.name)), lambda row: value(end(row, path, NO_CHOICE), item.name)
        )

    def case(self) -> None:
        tree = self.ask.one_tree()
        node = Case(When(condition(tree), then=Value(2)), default=Value(1))
        self._annotated(self._named("number"), node, lambda row: 2 if times(row, tree) else 1)

    def count(self) -> None:
        many = self.ask.chance.choice(self.manys)
        if self.ask.chance.random() < 0.5:
            self._annotated(self._named("number"), Count(many), lambda row: len(row.at(many)))
            return
        part = self.ask.own_tree(self.ask.plan.links[many].target)
        node = Count(many, filter=moved_under(part, many))
        self._annotated(self._named("number"), node, lambda row: sum(bool(times(o, part)) for o in row.at(many)))

    def total(self) -> None:
        many = self.ask.chance.choice(self.manys)
        names = number_names(self.ask.plan.links[many].target)
        if names:
            node = self.ask.chance.choice([Sum, Max, Min])(f"{many}__{names[0]}")
            how = _OVER[type(node).__name__]
            self._annotated(self._named("amount"), node, lambda row: how(known_values(row.at(many), names[0])))

    def _related(self) -> tuple[str, Any, Any] | None:
        found = [
            (relation.name, plan)
            for plan in self.ask.schema.models
            for relation in plan.relations
            if relation.target is self.ask.plan and relation.kind == "fk"
        ]
        if not found:
            return None
        name, plan = self.ask.chance.choice(found)
        return name, plan, self.ask.one_tree(plan)

    def exists(self) -> None:
        if (related := self._related()) is None:
            return
        name, plan, tree = related
        inside = plan.model.objects.filter(condition(tree), **{name: OuterRef("pk")})
        rows = [row for row in self.ask.schema.rows[plan.name] if times(row, tree)]
        node = Case(When(Exists(inside), then=Value(1)), default=Value(0))
        self._annotated(self._named("number"), node, lambda row: int(any(row in other.at(name) for other in rows)))

    def first(self) -> None:
        if (related := self._related()) is None:
            return
        name, plan, tree = related
        item = self.ask.chance.choice(plan.fields)
        inside = plan.model.objects.filter(condition(tree), **{name: OuterRef("pk")}).order_by(*KEYS[plan.key])
        rows = sorted((row for row in self.ask.schema.rows[plan.name] if times(row, tree)), key=lambda row: row.pk)
        self._annotated(
            self._named(item.kind),
            Subquery(inside.values(item.name)[:1]),
            lambda row: next((other.values[item.name] for other in rows if row in other.at(name)), None),
        )

    def on_number(self) -> None:
        names = [name for name, kind in self.kinds.items() if kind in {"number", "amount"}]
        if self.windows and self.ask.chance.random() < 0.5:
            name, _ = self.ask.chance.choice(self.windows)
            self.limits.append((name, self.ask.chance.randint(1, 3)))
            self.query = self.query.filter(**{f"{name}__lte": self.limits[-1][1]})
            return
        if not names:
            return
        name, bound = self.ask.chance.choice(names), self.ask.chance.randint(0, 2)
        tree, is_either = self.ask.one_tree(), self.ask.chance.random() < 0.4
        test = Q(**{f"{name}__gte": bound})
        self.query = self.query.filter(test | condition(tree) if is_either else test)
        self.rows = [
            (row, beside)
            for row, beside in self.rows
            if (beside[name] is not None and beside[name] >= bound) or (is_either and times(row, tree))
        ]

    def window(self) -> None:
        name = f"the{len(self.kinds) + len(self.windows)}"
        own = [item.name for item in self.ask.plan.fields]
        part = self.ask.chance.choice([*own, *[n for n, kind in self.kinds.items() if kind == "number"]])
        order = self.ask.names()
        node = Window(fn.RowNumber(), partition_by=part, order_by=order if len(order) > 1 else order[0])
        self.query = self.query.annotate(**{name: node})
        self.windows.append((name, lambda found: found[1][part] if part in found[1] else found[0].values[part]))

    def found(self) -> list[_Found]:
        """The rows in the order of their keys, with all annotations."""
        rows = sorted(self.rows, key=lambda found: found[0].pk)
        for name, part in self.windows:
            counts: dict[Any, int] = defaultdict(int)
            for found in rows:
                key = part(found)
                counts[key] += 1
                found[1][name] = counts[key]
        return [found for found in rows if all(found[1][name] <= most for name, most in self.limits)]


def chains(ask: Asker) -> None:
    chain = Chain(ask)
    query, found = chain.query, chain.found()
    end_of = [_rows, _rows, _counted, _aggregated, _grouped, _nested, _combined, _sliced, _written, _other_forms]
    ask.chance.choice(end_of)(ask, chain, query, found)


def _rows(ask: Asker, chain: Chain, query: Any, found: list[_Found]) -> None:
    names = [*chain.kinds, *[name for name, _ in chain.windows]]
    got = {row.pk: {name: getattr(row, name) for name in names} for row in ask.world.iterate(query)}
    ask.check(got, {row.pk: {name: beside[name] for name in names} for row, beside in found}, "rows", query)


def _counted(ask: Asker, chain: Chain, query: Any, found: list[_Found]) -> None:
    ask.check(ask.world.call(query, "count"), len(found), "count", query)
    ask.check(ask.world.call(query, "exists"), bool(found), "exists", query)
    ask.check(ask.world.call(query.distinct(), "count"), len(found), "distinct", query)


def _summed(ask: Asker, chain: Chain, found: list[_Found]) -> tuple[dict[str, Any], dict[str, Any]]:
    asked: dict[str, Any] = {"number_of_all": Count("*")}
    wanted: dict[str, Any] = {"number_of_all": len(found)}
    for name, kind in chain.kinds.items():
        values = [beside[name] for _, beside in found if beside[name] is not None]
        asked[f"{name}_n"], wanted[f"{name}_n"] = Count(name), len(values)
        if kind == "number":
            asked[f"{name}_s"], wanted[f"{name}_s"] = Sum(name), sum(values) if values else None
        if kind in {"number", "amount"}:
            asked[f"{name}_t"], wanted[f"{name}_t"] = Max(name), max(values, default=None)
    for name in number_names(ask.plan):
        values = known_values([row for row, _ in found], name)
        asked[f"{name}_s"], wanted[f"{name}_s"] = Sum(name), sum_of(values)
    return asked, wanted


def _aggregated(ask: Asker, chain: Chain, query: Any, found: list[_Found]) -> None:
    asked, wanted = _summed(ask, chain, found)
    ask.check(ask.world.call(query, "aggregate", **asked), wanted, "aggregate", query)


def _grouped(ask: Asker, chain: Chain, query: Any, found: list[_Found]) -> None:
    key = ask.chance.choice(ask.plan.fields).name
    made: dict[Any, list[Row]] = defaultdict(list)
    for row, _ in found:
        made[row.values[key]].append(row)
    names = number_names(ask.plan)
    grouped = query.values(thekey=F(key)).annotate(all_n=Count("*"), **{f"{name}_s": Sum(name) for name in names})
    got = {
        row["thekey"]: {n: row[n] for n in ("all_n", *[f"{n}_s" for n in names])} for row in ask.world.iterate(grouped)
    }
    wanted = {
        k: {"all_n": len(rows), **{f"{n}_s": sum_of(known_values(rows, n)) for n in names}} for k, rows in made.items()
    }
    ask.check(got, wanted, "groups", key, grouped)
    ask.check(ask.world.call(grouped, "count"), len(made), "count of groups", grouped)


def _nested(ask: Asker, chain: Chain, query: Any, found: list[_Found]) -> None:
    keys = {row.pk for row, _ in found}
    ask.check(ask.keys(ask.objects.filter(pk__in=query)), Counter(keys), "in", query)
    others = Counter(row.pk for row in ask.rows if row.pk not in keys)
    ask.check(ask.keys(ask.objects.exclude(pk__in=query)), others, "not in", query)


def _combined(ask: Asker, chain: Chain, query: Any, found: list[_Found]) -> None:
    tree, keys = ask.one_tree(), {row.pk for row, _ in found}
    some = {row.pk for row in ask.rows if times(row, tree)}
    plain = ask.objects.filter(pk__in=query)
    for word, wanted in (("union", keys | some), ("intersection", keys & some), ("difference", keys - some)):
        both = getattr(plain, word)(ask.objects.filter(condition(tree)))
        ask.check(ask.keys(both), Counter(wanted), word, both)


def _sliced(ask: Asker, chain: Chain, query: Any, found: list[_Found]) -> None:
    low, high = sorted((ask.chance.randint(0, 3), ask.chance.randint(0, 6)))
    cut = query.order_by(*ask.names())[low:high]
    some = found[low:high]
    ask.check([row.pk for row in ask.world.iterate(cut)], [row.pk for row, _ in some], "slice", low, high, cut)
    asked, wanted = _summed(ask, chain, some)
    ask.check(ask.world.call(cut, "aggregate", **asked), wanted, "aggregate of a slice", low, high, cut)
    ask.check(ask.world.call(cut, "count"), len(some), "count of a slice", cut)
    ask.check(ask.keys(ask.objects.filter(pk__in=cut)), Counter(row.pk for row, _ in some), "in a slice", cut)
    last = ask.world.call(query.order_by(*ask.names()), "last")
    ask.check(None if last is None else last.pk, found[-1][0].pk if found else None, "last", query)


def _written(ask: Asker, chain: Chain, query: Any, found: list[_Found]) -> None:
    items = [item for item in ask.plan.fields if item.is_nullable]
    if not items:
        return
    name = ask.chance.choice(items).name
    keys = {row.pk for row, _ in found}
    with contextlib.suppress(UndoneError), ask.world.enter(atomic()):
        ask.check(ask.world.call(query.all(), "update", **{name: None}), len(keys), "update", name, query)
        got = {row.pk: getattr(row, name) for row in ask.world.iterate(ask.objects.all())}
        wanted = {row.pk: None if row.pk in keys else row.values[name] for row in ask.rows}
        ask.check(got, wanted, "updated", name, query)
        raise UndoneError


def _other_forms(ask: Asker, chain: Chain, query: Any, found: list[_Found]) -> None:
    names = [*chain.kinds, *[name for name, _ in chain.windows]]
    listed = query.values_list(*ask.names(), *names)
    wanted = Counter(
        (*(row.pk if isinstance(row.pk, tuple) else (row.pk,)), *[beside[name] for name in names])
        for row, beside in found
    )
    ask.check(Counter(ask.world.iterate(listed)), wanted, "values", listed)
    plain = [name for name, kind in chain.kinds.items() if kind not in {"amount"}]
    if plain:
        name = ask.chance.choice(plain)
        once = query.values_list(name, flat=True).distinct()
        ask.check(Counter(ask.world.iterate(once)), Counter({beside[name] for _, beside in found}), "distinct", once)
        ask.check(ask.world.call(once, "count"), len({beside[name] for _, beside in found}), "distinct count", once)


KINDS: list[Callable[[Asker], None]] = [chains] * 12
