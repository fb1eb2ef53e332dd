"""Further questions by chance: of rows that an aggregate or a window chose, of windows, groups, moments and unions."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

from datalayer import Avg, Case, Count, F, Max, Min, Q, Sum, Value, When, Window, atomic
from datalayer import functions as fn
from datalayer.databases import databases
from datalayer.errors import NotSupported
from tests.database.queries import answers
from tests.database.queries.answers import condition, end, times, value
from tests.database.queries.questions import (
    NO_CHOICE,
    Asker,
    UndoneError,
    _satisfying,
    known_values,
    number_names,
    sum_of,
)
from tests.database.queries.schemas import KINDS as FIELD_KINDS
from tests.database.queries.schemas import Row

_BY_COLLATION = {"text", "mood", "raw", "token", "flag", "stretch", "season"}
"""Kinds whose order is another one in Python."""


def _orderable(ask: Asker) -> list[str]:
    return [item.name for item in ask.plan.fields if item.kind not in _BY_COLLATION]


def _totals(rows: list[Row], names: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {"thecount": len(rows)}
    for name in names:
        known = known_values(rows, name)
        found |= {f"{name}_s": sum_of(known), f"{name}_l": min(known, default=None), f"{name}_k": len(set(known))}
    return found


def _asked_totals(names: list[str]) -> dict[str, Any]:
    asked: dict[str, Any] = {"thecount": Count("*")}
    for name in names:
        asked |= {f"{name}_s": Sum(name), f"{name}_l": Min(name), f"{name}_k": Count(name, distinct=True)}
    return asked


# -- rows that were chosen by more than columns -----------------------------------------------------


def _chosen(ask: Asker) -> tuple[Any, list[Row]]:
    """A query that is filtered by an aggregate or a window, and its rows."""
    before, beside = ask.one_tree(), ask.one_tree()
    rows = _satisfying(ask.rows, before)
    query = ask.objects.filter(condition(before))
    manys = sorted(name for name, link in ask.plan.links.items() if link.is_many)
    least = ask.chance.randint(0, 2)
    ways = ["window", *(["count", "either", "sum"] if manys else [])]
    way = ask.chance.choice(ways)
    name = ask.chance.choice(manys) if manys else ""
    ask.said.append((way, name, least))
    if way == "count":
        return query.annotate(thenum=Count(name)).filter(thenum__gte=least), [
            row for row in rows if len(row.at(name)) >= least
        ]
    if way == "either":
        return query.annotate(thenum=Count(name)).filter(Q(thenum__lt=least) | condition(beside)), [
            row for row in rows if len(row.at(name)) < least or times(row, beside)
        ]
    if way == "sum":
        numbers = [f.name for f in ask.plan.links[name].target.fields if f.kind in {"whole", "price", "wide"}]
        if numbers:
            known = {id(row): sum_of([o.values[numbers[0]] for o in row.at(name)]) for row in rows}
            summed = query.annotate(thesum=Sum(f"{name}__{numbers[0]}"))
            return summed.filter(thesum__gt=0), [row for row in rows if (known[id(row)] or 0) > 0]
    part = ask.chance.choice(ask.plan.fields).name
    places: dict[Any, int] = defaultdict(int)
    kept: list[Row] = []
    for row in sorted(rows, key=lambda row: row.pk):
        places[row.values[part]] += 1
        if places[row.values[part]] <= least:
            kept.append(row)
    order = ask.names()
    place = Window(fn.RowNumber(), partition_by=part, order_by=order if len(order) > 1 else order[0])
    return query.annotate(theplace=place).filter(theplace__lte=least), kept


def aggregates_of_chosen_rows(ask: Asker) -> None:
    query, rows = _chosen(ask)
    ask.check(ask.keys(query), Counter(row.pk for row in rows), query)
    ask.check(ask.world.call(query, "count"), len(rows), "count", query)
    ask.check(ask.world.call(query, "exists"), bool(rows), "exists", query)
    asked, wanted = _asked_totals(number_names(ask.plan)), _totals(rows, number_names(ask.plan))
    for name, link in sorted(ask.plan.links.items()):
        if link.is_many:
            asked[f"{name}_n"], wanted[f"{name}_n"] = Count(name), sum(len(row.at(name)) for row in rows)
    ask.check(ask.world.call(query, "aggregate", **asked), wanted, "aggregate", query)


def groups_of_chosen_rows(ask: Asker) -> None:
    query, rows = _chosen(ask)
    path, last = answers.path_by_chance(ask.chance, ask.plan, is_one=True)
    key = ask.chance.choice(last.fields).name
    made: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        made[value(end(row, path, NO_CHOICE), key)].append(row)
    names = number_names(ask.plan)
    grouped = query.values(thekey=F(answers.named(path, key))).annotate(**_asked_totals(names))
    wanted = {key: _totals(some, names) for key, some in made.items()}
    found = {row["thekey"]: {name: row[name] for name in row if name != "thekey"} for row in ask.world.iterate(grouped)}
    ask.check(found, wanted, key, grouped)
    kept = grouped.filter(thecount__gt=1)
    most = {key for key, totals in wanted.items() if totals["thecount"] > 1}
    ask.check({row["thekey"] for row in ask.world.iterate(kept)}, most, "having", kept)


def queries_of_chosen_rows(ask: Asker) -> None:
    query, rows = _chosen(ask)
    keys, other = {row.pk for row in rows}, ask.one_tree()
    others = {row.pk for row in _satisfying(ask.rows, other)}
    inside = ask.objects.filter(pk__in=query)
    ask.check(ask.keys(inside), Counter(keys), "in", inside)
    outside = ask.objects.exclude(pk__in=query)
    ask.check(ask.keys(outside), Counter(row.pk for row in ask.rows if row.pk not in keys), "not in", outside)
    both = ask.objects.filter(pk__in=query).union(ask.objects.filter(condition(other)))
    ask.check(ask.keys(both), Counter(keys | others), "union", both)
    with contextlib.suppress(UndoneError), ask.world.enter(atomic()):
        ask.check(ask.world.call(query, "update", **_changed(ask)), len(keys), "update", query)
        raise UndoneError


def _changed(ask: Asker) -> dict[str, Any]:
    item = ask.chance.choice(ask.plan.fields)
    return {item.name: ask.chance.choice(FIELD_KINDS[item.kind].pool)}


# -- windows ---------------------------------------------------------------------------------------


def _ranks(values: list[Any]) -> tuple[dict[Any, int], dict[Any, int]]:
    """The rank and the dense rank of each value; None comes last."""
    ordered = sorted(answers.place(v) for v in values if v is not None) + [None] * values.count(None)
    rank: dict[Any, int] = {}
    for number, item in enumerate(ordered, 1):
        rank.setdefault(item, number)
    return rank, {item: number for number, item in enumerate(rank, 1)}


def windows_of_every_kind(ask: Asker) -> None:
    before, part = ask.one_tree(), ask.chance.choice(ask.plan.fields).name
    names, item = _orderable(ask), ask.chance.choice(ask.plan.fields).name
    rows = sorted(_satisfying(ask.rows, before), key=lambda row: row.pk)
    order: Any = ask.names() if len(ask.names()) > 1 else ask.names()[0]
    low, high = sorted((ask.chance.randint(-2, 2), ask.chance.randint(-2, 2)))
    step, buckets = ask.chance.randint(1, 2), ask.chance.randint(1, 3)
    frame = fn.Frame(low, high)

    def over(function: Any, **named: Any) -> Window:
        return Window(function, partition_by=part, order_by=order, **named)

    asked = {
        "thelag": over(fn.Lag(item, step)),
        "thelead": over(fn.Lead(item, step)),
        "thefirst": over(fn.FirstValue(item)),
        "thelast": over(fn.LastValue(item)),
        "thesecond": over(fn.NthValue(item, 2)),
        "thetile": over(fn.Ntile(buckets)),
        "thenear": over(Count("*"), frame=frame),
    }
    numbers = [name for name in number_names(ask.plan)[:1] if {f.name: f.kind for f in ask.plan.fields}[name] != "wide"]
    for name in numbers:
        asked["thesum"] = over(Sum(name), frame=frame)
    if names:
        asked["therank"] = Window(fn.Rank(), partition_by=part, order_by=names[0])
        asked["thedense"] = Window(fn.DenseRank(), partition_by=part, order_by=names[0])
    parts: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        parts[row.values[part]].append(row)
    wanted: dict[Any, dict[str, Any]] = {}
    for some in parts.values():
        values = [row.values[item] for row in some]
        sizes = [len(some) // buckets + (number < len(some) % buckets) for number in range(buckets)]
        tiles = list(itertools.chain.from_iterable([number] * size for number, size in enumerate(sizes, 1)))
        rank, dense = _ranks([row.values[names[0]] for row in some]) if names else ({}, {})
        for place, row in enumerate(some):
            near = some[max(0, place + low) : max(0, place + high + 1)]
            wanted[row.pk] = {
                "thelag": values[place - step] if place >= step else None,
                "thelead": values[place + step] if place + step < len(some) else None,
                "thefirst": values[0],
                "thelast": values[place],
                "thesecond": values[1] if place >= 1 else None,
                "thetile": tiles[place],
                "thenear": len(near),
            }
            for name in numbers:
                wanted[row.pk]["thesum"] = sum_of(known_values(near, name))
            if names:
                own = row.values[names[0]]
                wanted[row.pk] |= {
                    "therank": rank[own if own is None else answers.place(own)],
                    "thedense": dense[own if own is None else answers.place(own)],
                }
    query = ask.objects.filter(condition(before)).annotate(**asked)
    found = {row.pk: {name: getattr(row, name) for name in asked} for row in ask.world.iterate(query)}
    ask.check(found, wanted, part, item, (low, high), step, buckets, query)


# -- groups ----------------------------------------------------------------------------------------


def groups_of_groups(ask: Asker) -> None:
    """Two keys, HAVING of several parts, an order and a slice of groups, and aggregates over them."""
    before = ask.one_tree()
    keys = [item.name for item in ask.chance.sample(ask.plan.fields, min(2, len(ask.plan.fields)))]
    numbers = number_names(ask.plan)[:1]
    made: dict[Any, list[Row]] = defaultdict(list)
    for row in _satisfying(ask.rows, before):
        made[tuple(row.values[key] for key in keys)].append(row)
    asked: dict[str, Any] = {"then": Count("*")} | ({"thetop": Max(numbers[0])} if numbers else {})
    query = ask.objects.filter(condition(before)).values_list(*keys).annotate(**asked)
    tops: dict[Any, Any] = {
        key: max(known_values(rows, numbers[0]), default=None) if numbers else 0 for key, rows in made.items()
    }
    least, bound = ask.chance.randint(1, 2), ask.chance.choice([-1, 0, 2])
    having = Q(then__gt=least) | Q(thetop__gte=bound) if numbers else Q(then__gt=least)
    negated = ask.chance.random() < 0.4
    kept = query.exclude(having) if negated else query.filter(having)

    def holds(key: Any) -> bool:
        is_high = bool(numbers) and tops[key] is not None and tops[key] >= bound
        return (len(made[key]) > least or is_high) is not negated

    wanted = [(*key, len(rows), *([tops[key]] if numbers else [])) for key, rows in made.items() if holds(key)]
    ask.check(Counter(ask.world.iterate(kept)), Counter(wanted), keys, least, bound, negated, kept)
    ask.check(ask.world.call(kept, "count"), len(wanted), "count", kept)
    sizes = sorted((row[len(keys)] for row in wanted), reverse=True)
    cut = kept.order_by("-then")[1:3]
    ask.check([row[len(keys)] for row in ask.world.iterate(cut)], sizes[1:3], "slice", cut)
    over = {"the_all": Sum("then"), "the_most": Max("then"), "the_number": Count("*")}
    found = ask.world.call(kept, "aggregate", **over)
    total = {"the_all": sum(sizes) if sizes else None, "the_most": max(sizes, default=None), "the_number": len(sizes)}
    ask.check(found, total, "aggregate of groups", kept)


def aggregates_of_aggregates(ask: Asker) -> None:
    """Averages, sums and counts of each row's related rows, brought together over all rows."""
    manys = sorted(name for name, link in ask.plan.links.items() if link.is_many)
    if not manys:
        return
    name, tree = ask.chance.choice(manys), ask.one_tree()
    numbers = [f.name for f in ask.plan.links[name].target.fields if f.kind in {"whole", "price", "wide"}]
    rows = _satisfying(ask.rows, tree)
    query = ask.objects.filter(condition(tree)).annotate(thenum=Count(name))
    counts = [len(row.at(name)) for row in rows]
    asked: dict[str, Any] = {"themost": Max("thenum"), "theall": Sum("thenum")}
    wanted: dict[str, Any] = {"themost": max(counts, default=None), "theall": sum(counts) if counts else None}
    if numbers:
        each = [known_values(row.at(name), numbers[0]) for row in rows]
        tops, sums = [max(known) for known in each if known], [sum_of(known) for known in each if known]
        query = query.annotate(
            thetop=Max(f"{name}__{numbers[0]}"),
            thesum=Sum(f"{name}__{numbers[0]}"),
            themean=Avg(f"{name}__{numbers[0]}"),
        )
        asked |= {"lowtop": Min("thetop"), "lowsum": Min("thesum"), "topsum": Max("thesum"), "means": Count("themean")}
        wanted |= {"lowtop": min(tops, default=None), "lowsum": min(sums, default=None)}
        wanted |= {"topsum": max(sums, default=None), "means": len(sums)}
    ask.check(ask.world.call(query, "aggregate", **asked), wanted, name, query)
    if numbers:  # means are compared by value, however they are written
        placed = query.filter(themean__isnull=False).annotate(theplace=Window(fn.Rank(), order_by="themean"))
        found = [(row.theplace, row.themean) for row in ask.world.iterate(placed)]
        ask.check([mean for _, mean in sorted(found)], sorted(mean for _, mean in found), "rank of means", placed)
        means = [mean for _, mean in found]
        ends = ask.world.call(query, "aggregate", low=Min("themean"), top=Max("themean"))
        ask.check(ends, {"low": min(means, default=None), "top": max(means, default=None)}, "ends", query)


# -- other forms -----------------------------------------------------------------------------------


def first_of_each(ask: Asker) -> None:
    tree, part = ask.one_tree(), ask.chance.choice(ask.plan.fields).name
    query = ask.objects.filter(condition(tree)).order_by(part, *[f"-{name}" for name in ask.names()])
    if databases["default"].compiler.backend == "sqlite":
        try:
            query.distinct(part)
        except NotSupported:
            return
        raise AssertionError("SQLite has no DISTINCT ON")
    query = query.distinct(part)
    first: dict[Any, Any] = {}
    for row in sorted(_satisfying(ask.rows, tree), key=lambda row: row.pk, reverse=True):
        first.setdefault(row.values[part], row.pk)
    ask.check(ask.keys(query), Counter(first.values()), part, query)
    ask.check(ask.world.call(query, "count"), len(first), "count", query)
    inside = ask.objects.filter(pk__in=query.values("pk")) if len(ask.names()) == 1 else query
    ask.check(ask.keys(inside), Counter(first.values()), "in", inside)


_STEPS: dict[str, Callable[[Any], Any]] = {
    "year": lambda v: v.replace(month=1, day=1),
    "month": lambda v: v.replace(day=1),
    "quarter": lambda v: v.replace(month=(v.month - 1) // 3 * 3 + 1, day=1),
    "day": lambda v: v,
}


def moments_of_rows(ask: Asker) -> None:
    for item in ask.plan.fields:
        if item.kind not in {"day", "moment"}:
            continue
        tree, step = ask.one_tree(), ask.chance.choice(sorted(_STEPS))
        known = known_values(_satisfying(ask.rows, tree), item.name)
        cut = [_STEPS[step](one) for one in known]
        if item.kind == "moment":
            cut = [one.replace(hour=0, minute=0, second=0, microsecond=0) for one in cut]
        is_down = ask.chance.random() < 0.5
        verb = "dates" if item.kind == "day" else "datetimes"
        query = getattr(ask.objects.filter(condition(tree)), verb)(item.name, step, "DESC" if is_down else "ASC")
        wanted = sorted(set(cut), reverse=is_down)
        ask.check(ask.world.iterate(query), wanted, item.name, step, query)
        ask.check(ask.world.call(query, "count"), len(wanted), "count", query)
        ask.check(ask.world.iterate(query[1:3]), wanted[1:3], "slice", query)


def unions_as_rows(ask: Asker) -> None:
    first, second, third = ask.one_tree(), ask.one_tree(), ask.one_tree()
    one, two = (ask.objects.filter(condition(tree)) for tree in (first, second))
    ones, twos = (_satisfying(ask.rows, tree) for tree in (first, second))
    is_all = ask.chance.random() < 0.4
    both = one.union(two, all=is_all)
    rows = [*ones, *twos] if is_all else [row for row in ask.rows if row in ones or row in twos]
    ordered = sorted((row.pk for row in rows), reverse=True)
    back = both.order_by(*[f"-{name}" for name in ask.names()])
    ask.check([row.pk for row in ask.world.iterate(back[1:4])], ordered[1:4], is_all, "slice", back)
    names = number_names(ask.plan)
    kept = [row for row in rows if times(row, third)]
    found = ask.world.call(both.filter(condition(third)), "aggregate", **_asked_totals(names))
    ask.check(found, _totals(kept, names), is_all, "aggregate", both)
    key = ask.chance.choice(ask.plan.fields).name
    made = Counter(row.values[key] for row in kept)
    grouped = both.filter(condition(third)).values_list(key).annotate(n=Count("*"))
    ask.check(dict(ask.world.iterate(grouped)), dict(made), is_all, "groups", grouped)
    none = one.intersection(two).difference(ask.objects.filter(condition(third)))
    wanted = Counter(row.pk for row in ones if row in twos and not times(row, third))
    ask.check(ask.keys(none), wanted, "intersection and difference", none)


def computed_updates(ask: Asker) -> None:
    pairs = [
        (one, other)
        for one, other in itertools.permutations(ask.plan.fields, 2)
        if one.kind == other.kind and one.is_nullable
    ]
    if not pairs:
        return
    item, other = ask.chance.choice(pairs)
    tree, first = ask.one_tree(), ask.one_tree()
    new = ask.chance.choice(FIELD_KINDS[item.kind].pool)
    computed = Case(When(condition(first), then=F(other.name)), default=Value(new))
    query = ask.objects.filter(condition(tree))
    with contextlib.suppress(UndoneError), ask.world.enter(atomic()):
        ask.world.call(query, "update", **{item.name: computed})
        found = {row.pk: getattr(row, item.name) for row in ask.world.iterate(ask.objects.all())}
        wanted = {
            row.pk: row.values[item.name]
            if not times(row, tree)
            else row.values[other.name]
            if times(row, first)
            else new
            for row in ask.rows
        }
        ask.check(found, wanted, item.name, other.name, new, query)
        raise UndoneError


def ranges_of_columns(ask: Asker) -> None:
    """Both ends of a range, and what a list has, are columns."""
    names = [(item.name, item.kind) for item in ask.plan.fields if item.kind not in _BY_COLLATION]
    alike = [[name for name, kind in names if kind == one] for one in {kind for _, kind in names}]
    alike = [some for some in alike if len(some) > 1]
    if not alike:
        return
    some = ask.chance.choice(sorted(alike))
    left, low, high = (ask.chance.choice(some) for _ in range(3))

    def lies(row: Row) -> bool:
        found = [row.values[name] for name in (left, low, high)]
        return None not in found and found[1] <= found[0] <= found[2]

    query = ask.objects.filter(**{f"{left}__range": (F(low), F(high))})
    ask.check(ask.keys(query), Counter(row.pk for row in ask.rows if lies(row)), "range", left, low, high, query)
    among = ask.objects.filter(**{f"{left}__in": [F(low), F(high)]})
    wanted = Counter(
        row.pk for row in ask.rows
        if row.values[left] is not None and row.values[left] in (row.values[low], row.values[high])
    )  # fmt: skip
    ask.check(ask.keys(among), wanted, "in", left, low, high, among)


KINDS: list[Callable[[Asker], None]] = [
    aggregates_of_chosen_rows,
    groups_of_chosen_rows,
    queries_of_chosen_rows,
    windows_of_every_kind,
    groups_of_groups,
    aggregates_of_aggregates,
    first_of_each,
    moments_of_rows,
    unions_as_rows,
    computed_updates,
    ranges_of_columns,
]
