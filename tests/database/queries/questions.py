"""Questions about a schema by chance: each asks the database and works out the same from the rows in plain Python."""

from __future__ import annotations

import contextlib
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from decimal import Decimal, localcontext
from typing import Any

from datalayer import (
    Case,
    Count,
    Exists,
    F,
    FilteredRelation,
    Join,
    Max,
    Min,
    OuterRef,
    Prefetch,
    Q,
    Subquery,
    Sum,
    Value,
    When,
    Window,
    atomic,
)
from datalayer import functions as fn
from datalayer.errors import ObjectDoesNotExist
from tests.database.queries import answers
from tests.database.queries.answers import Tree, condition, end, times, value
from tests.database.queries.schemas import KINDS as FIELD_KINDS
from tests.database.queries.schemas import ModelPlan, RelationPlan, Row, Schema
from tests.worlds import World

KEYS = {"id": ("id",), "uuid": ("id",), "text": ("code",), "pair": ("left", "right")}
NO_CHOICE: answers.Places = {}


class UndoneError(Exception):
    """Ends a transaction whose writes were looked at."""


class Asker:
    """One question in the making.

    Attributes:
        plan: The model that is asked about.
        mark: Says which question it is, when it fails.
    """

    def __init__(self, world: World, schema: Schema, chance: random.Random, mark: str) -> None:
        self.world = world
        self.schema = schema
        self.chance = chance
        self.mark = mark
        self.plan: ModelPlan = chance.choice(schema.models)
        self.said: list[Any] = []

    @property
    def objects(self) -> Any:
        return self.plan.model.objects

    @property
    def rows(self) -> list[Row]:
        return self.schema.rows[self.plan.name]

    def tree(self, plan: ModelPlan | None = None, depth: int = 3) -> Tree:
        found = answers.tree_by_chance(self.chance, plan or self.plan, self.schema.rows, depth)
        self.said.append(found)
        return found

    def one_tree(self, plan: ModelPlan | None = None) -> Tree:
        """A condition without relations to many."""
        while True:
            found = answers.tree_by_chance(self.chance, plan or self.plan, self.schema.rows)
            if not answers.every_crossing(plan or self.plan, found):
                self.said.append(found)
                return found

    def own_tree(self, plan: ModelPlan) -> Tree:
        """A condition on columns of the row itself."""
        while True:
            found = self.one_tree(plan)
            if not answers.relations_of(found):
                return found

    def check(self, found: Any, wanted: Any, *about: Any) -> None:
        if found == wanted:
            return
        asked = next((item for item in about if hasattr(item, "sql")), None)
        text = "\n".join(
            [
                self.mark,
                f"asked of {self.plan}: {self.said}",
                f"about: {about}",
                f"sql: {asked.sql() if asked is not None else None}",
                f"found:  {found}",
                f"wanted: {wanted}",
                *[repr(row) for rows in self.schema.rows.values() for row in rows],
            ]
        )
        raise AssertionError(text)

    def keys(self, query: Any) -> Counter[Any]:
        return Counter(row.pk for row in self.world.iterate(query))

    def names(self) -> list[str]:
        return list(KEYS[self.plan.key])


def _satisfying(rows: list[Row], tree: Tree) -> list[Row]:
    return [row for row in rows if times(row, tree)]


def _often(rows: list[Row], *trees: Tree) -> Counter[Any]:
    found: Counter[Any] = Counter()
    for row in rows:
        number = 1
        for tree in trees:
            number *= times(row, tree)
        if number:
            found[row.pk] = number
    return found


# -- conditions ------------------------------------------------------------------------------------


def filter(ask: Asker) -> None:
    tree = ask.tree()
    query = ask.objects.filter(condition(tree))
    wanted = _often(ask.rows, tree)
    ask.check(ask.keys(query), wanted, query)
    ask.check(ask.world.call(query, "count"), sum(wanted.values()), "count", query)
    ask.check(ask.world.call(query, "exists"), bool(wanted), "exists", query)


def exclude(ask: Asker) -> None:
    tree = ask.tree()
    query = ask.objects.exclude(condition(tree))
    wanted = Counter(row.pk for row in ask.rows if not times(row, tree))
    ask.check(ask.keys(query), wanted, query)
    ask.check(ask.world.call(query, "count"), len(wanted), "count", query)


def filters_one_after_another(ask: Asker) -> None:
    first, second = ask.tree(depth=2), ask.tree(depth=2)
    query = ask.objects.filter(condition(first)).filter(condition(second))
    ask.check(ask.keys(query), _often(ask.rows, first, second), query)
    once = {row.pk for row in ask.rows if times(row, first) and times(row, second)}
    ask.check(ask.keys(query.distinct()), Counter(once), "distinct", query.distinct())
    ask.check(ask.world.call(query.distinct(), "count"), len(once), "distinct count", query.distinct())


def filter_then_exclude(ask: Asker) -> None:
    first, second = ask.tree(depth=2), ask.tree(depth=2)
    query = ask.objects.filter(condition(first)).exclude(condition(second))
    wanted = _often([row for row in ask.rows if not times(row, second)], first)
    ask.check(ask.keys(query), wanted, query)


def set_operations(ask: Asker) -> None:
    first, second, third = ask.tree(), ask.tree(), ask.one_tree()
    one, two = (ask.objects.filter(condition(tree)) for tree in (first, second))
    word = ask.chance.choice(["union", "intersection", "difference"])
    ones, twos = ({row.pk for row in _satisfying(ask.rows, tree)} for tree in (first, second))
    wanted = ones | twos if word == "union" else ones & twos if word == "intersection" else ones - twos
    both = getattr(one, word)(two)
    ask.check(ask.keys(both), Counter(wanted), word, both)
    ask.check(ask.world.call(both, "count"), len(wanted), word, "count", both)
    kept = {row.pk for row in _satisfying(ask.rows, third)} & wanted
    ask.check(ask.keys(both.filter(condition(third))), Counter(kept), word, "filtered", both.filter(condition(third)))


# -- order -----------------------------------------------------------------------------------------


def ordered_slices(ask: Asker) -> None:
    tree = ask.one_tree()
    query = ask.objects.filter(condition(tree))
    rows = _satisfying(ask.rows, tree)
    items: list[Any] = []
    rows.sort(key=lambda row: row.pk)
    by: list[tuple[Any, str, bool, bool]] = []
    for _ in range(ask.chance.randint(1, 2)):
        path, last = answers.path_by_chance(ask.chance, ask.plan, is_one=True)
        names = [item.name for item in last.fields if item.kind not in {"text", "mood"}]
        if not names:
            continue
        name, down, nulls = (
            ask.chance.choice(names),
            ask.chance.random() < 0.5,
            ask.chance.choice([None, "first", "last"]),
        )
        whole = answers.named(path, name)
        if nulls is None:
            items.append(f"-{whole}" if down else whole)
        else:
            items.append(F(whole).desc(nulls=nulls) if down else F(whole).asc(nulls=nulls))
        by.append((path, name, down, (not down) if nulls is None else nulls == "last"))
    for path, name, down, last_null in reversed(by):
        known = [row for row in rows if value(end(row, path, NO_CHOICE), name) is not None]
        unknown = [row for row in rows if value(end(row, path, NO_CHOICE), name) is None]
        known.sort(key=lambda row: answers.place(value(end(row, path, NO_CHOICE), name)), reverse=down)
        rows = known + unknown if last_null else unknown + known
    query = query.order_by(*items, *ask.names())
    start, stop = sorted((ask.chance.randint(0, 5), ask.chance.randint(0, 12)))
    whole_list = [row.pk for row in ask.world.iterate(query)]
    ask.check(whole_list, [row.pk for row in rows], items, query)
    found = [row.pk for row in ask.world.iterate(query[start:stop])]
    ask.check(found, [row.pk for row in rows[start:stop]], items, start, stop, query[start:stop])
    ask.check(ask.world.call(query[start:stop], "count"), len(rows[start:stop]), "count", query[start:stop])
    last = ask.world.call(query, "last")
    ask.check(None if last is None else last.pk, rows[-1].pk if rows else None, "last", query)
    back = [row.pk for row in ask.world.iterate(query.reverse())]
    ask.check(back, [row.pk for row in rows][::-1], "reverse", items, query.reverse())
    held = ask.objects.filter(pk__in=query[start:stop])
    ask.check(ask.keys(held), Counter(row.pk for row in rows[start:stop]), "in a slice", held)


def distinct_values(ask: Asker) -> None:
    tree = ask.tree(depth=2)
    path, last = answers.path_by_chance(ask.chance, ask.plan, is_one=True)
    item = ask.chance.choice(last.fields)
    name = answers.named(path, item.name)
    query = ask.objects.filter(condition(tree)).values_list(name, flat=True).distinct()
    wanted = Counter({value(end(row, path, NO_CHOICE), item.name) for row in _satisfying(ask.rows, tree)})
    ask.check(Counter(ask.world.iterate(query)), wanted, query)
    ask.check(ask.world.call(query, "count"), len(wanted), "count", query)


def values_over_relations(ask: Asker) -> None:
    path, last = answers.path_by_chance(ask.chance, ask.plan)
    item, own = ask.chance.choice(last.fields), ask.chance.choice(ask.plan.fields)
    tree = ask.one_tree()
    if not path and item is own:
        return
    query = ask.objects.filter(condition(tree)).values_list(*ask.names(), own.name, answers.named(path, item.name))
    crossed = set(answers.many_steps(ask.plan, path))
    wanted = Counter(
        (
            *(row.pk if isinstance(row.pk, tuple) else (row.pk,)),
            row.values[own.name],
            value(end(row, path, places), item.name),
        )
        for row in _satisfying(ask.rows, tree)
        for places in answers.combinations(row, crossed)
    )
    ask.check(Counter(ask.world.iterate(query)), wanted, query)


# -- loading ---------------------------------------------------------------------------------------


def instances_and_relations(ask: Asker) -> None:
    tree = ask.one_tree()
    ones = sorted(name for name, link in ask.plan.links.items() if not link.is_many)
    manys = sorted(name for name, link in ask.plan.links.items() if link.is_many)
    joined = [name for name in ones if ask.chance.random() < 0.5]
    fetched = [name for name in (*ones, *manys) if name not in joined]
    query = ask.objects.filter(condition(tree))
    if joined:
        query = query.select_related(*joined)
    query = query.prefetch_related(*fetched)
    found = {}
    for row in ask.world.iterate(query):
        values = {item.name: getattr(row, item.name) for item in ask.plan.fields}
        ends = {name: _one(row, name) for name in ones}
        found[row.pk] = (
            values,
            ends,
            {name: Counter(other.pk for other in getattr(row, name).all()) for name in manys},
        )
    wanted = {
        row.pk: (
            row.values,
            {name: next((other.pk for other in row.at(name)), None) for name in ones},
            {name: Counter(other.pk for other in row.at(name)) for name in manys},
        )
        for row in _satisfying(ask.rows, tree)
    }
    ask.check(found, wanted, joined, fetched, query)


def _one(row: Any, name: str) -> Any:
    try:
        other = getattr(row, name)
    except ObjectDoesNotExist:  # nothing on the other side of a one to one
        return None
    return None if other is None else other.pk


def prefetched_parts(ask: Asker) -> None:
    names = sorted(name for name, link in ask.plan.links.items() if link.is_many)
    if not names:
        return
    name = ask.chance.choice(names)
    target = ask.plan.links[name].target
    tree = ask.one_tree(target)
    cut = ask.chance.choice([None, (0, 1), (1, 3)])
    inner = target.model.objects.filter(condition(tree)).order_by(*KEYS[target.key])
    if cut is not None:
        inner = inner[cut[0] : cut[1]]
    query = ask.objects.prefetch_related(Prefetch(name, inner, to_attr="some"))
    found = {row.pk: [other.pk for other in row.some] for row in ask.world.iterate(query)}
    wanted = {}
    for row in ask.rows:
        others = sorted({other.pk for other in row.at(name) if times(other, tree)})
        wanted[row.pk] = others if cut is None else others[cut[0] : cut[1]]
    ask.check(found, wanted, name, cut, query)


# -- computing -------------------------------------------------------------------------------------


def number_names(plan: ModelPlan) -> list[str]:
    return [item.name for item in plan.fields if item.kind in {"whole", "price", "wide"}]


def sum_of(values: list[Any]) -> Any:
    known = [item for item in values if item is not None]
    with localcontext(prec=60):
        return sum(known[1:], known[0]) if known else None


def groups(ask: Asker) -> None:
    before, some = ask.one_tree(), ask.one_tree()
    path, last = answers.path_by_chance(ask.chance, ask.plan, is_one=True)
    key = ask.chance.choice(last.fields).name
    made = defaultdict(list)
    for row in _satisfying(ask.rows, before):
        made[value(end(row, path, NO_CHOICE), key)].append(row)
    query = ask.objects.filter(condition(before)).values(thekey=F(answers.named(path, key)))
    aggregates: dict[str, Any] = {"then": Count("*"), "thesome": Count("*", filter=condition(some))}
    work: dict[str, Callable[[list[Row]], Any]] = {
        "then": len,
        "thesome": lambda rows: sum(bool(times(r, some)) for r in rows),
    }
    for name in number_names(ask.plan):
        aggregates |= {f"{name}_sum": Sum(name), f"{name}_low": Min(name), f"{name}_top": Max(name)}
        work[f"{name}_sum"] = lambda rows, name=name: sum_of([row.values[name] for row in rows])
        work[f"{name}_low"] = lambda rows, name=name: min(known_values(rows, name), default=None)
        work[f"{name}_top"] = lambda rows, name=name: max(known_values(rows, name), default=None)
    _over_many(ask, ask.plan, aggregates, work)
    query = query.annotate(**aggregates)
    found = {row["thekey"]: {name: row[name] for name in aggregates} for row in ask.world.iterate(query)}
    wanted = {key: {name: work[name](rows) for name in work} for key, rows in made.items()}
    ask.check(found, wanted, query)
    ask.check(ask.world.call(query, "count"), len(made), "count", query)
    least = ask.chance.randint(0, 3)
    kept = query.filter(then__gt=least)
    ask.check(
        {row["thekey"] for row in ask.world.iterate(kept)}, {k for k, rows in made.items() if len(rows) > least}, kept
    )


def known_values(rows: list[Row], name: str) -> list[Any]:
    return [row.values[name] for row in rows if row.values[name] is not None]


def _over_many(
    ask: Asker, plan: ModelPlan, aggregates: dict[str, Any], work: dict[str, Callable[[list[Row]], Any]], *filters: Tree
) -> None:
    for name, link in sorted(plan.links.items()):
        if not link.is_many:
            continue
        aggregates[f"{name}_n"] = Count(name)
        work[f"{name}_n"] = lambda rows, name=name: sum(len(answers.chosen(row, filters, (name,))) for row in rows)
        for number in number_names(link.target)[:1]:
            aggregates[f"{name}_total"] = Sum(f"{name}__{number}")
            work[f"{name}_total"] = lambda rows, name=name, number=number: sum_of(
                [other.values[number] for row in rows for other in answers.chosen(row, filters, (name,))]
            )


def _far_aggregates(ask: Asker, name: str, filters: list[Tree]) -> tuple[dict[str, Any], dict[str, Callable[..., Any]]]:
    """Aggregates at the end of some paths to many, and what they are over rows, after some filters."""
    asked: dict[str, Any] = {}
    work: dict[str, Callable[..., Any]] = {}
    for place in range(6):
        path, last = answers.path_by_chance(ask.chance, ask.plan)
        crossed = list(answers.many_steps(ask.plan, path))
        if not crossed:
            continue

        def over(rows: list[Row], path: answers.Path = path) -> list[Row]:
            return [other for row in rows for other in answers.chosen(row, filters, path)]

        if crossed[-1] == path:
            asked[f"{name}{place}_n"] = Count("__".join(path))
            work[f"{name}{place}_n"] = lambda rows, over=over: len(over(rows))
        for number in number_names(last)[:1]:
            whole = answers.named(path, number)
            asked |= {f"{name}{place}_s": Sum(whole), f"{name}{place}_m": Max(whole)}
            work[f"{name}{place}_s"] = lambda rows, over=over, number=number: sum_of(known_values(over(rows), number))
            work[f"{name}{place}_m"] = lambda rows, over=over, number=number: max(
                known_values(over(rows), number), default=None
            )
    return asked, work


def _several_filters(ask: Asker, query: Any) -> tuple[Any, list[Tree]]:
    filters: list[Tree] = []
    for _ in range(ask.chance.randint(0, 2)):
        tree = ask.tree(depth=ask.chance.randint(0, 2))
        is_out = ask.chance.random() < 0.2
        query = query.exclude(condition(tree)) if is_out else query.filter(condition(tree))
        filters.append(answers.Node("not", (tree,)) if is_out else tree)
    return query, filters


def aggregates_after_filters(ask: Asker) -> None:
    """Filters, aggregates, filters, aggregates: each goes over what the filters before it chose."""
    query, before = _several_filters(ask, ask.objects.all())
    first, first_work = _far_aggregates(ask, "a", before)
    query, between = _several_filters(ask, query.annotate(**first))
    second, second_work = _far_aggregates(ask, "b", [*before, *between])
    query = query.annotate(**second)
    filters, work = [*before, *between], {**first_work, **second_work}
    rows = [row for row in ask.rows if all(times(row, tree) for tree in filters)]
    found = [(row.pk, {name: getattr(row, name) for name in work}) for row in ask.world.iterate(query)]
    ask.check(dict(found), {row.pk: {name: work[name]([row]) for name in work} for row in rows}, query)
    if work:
        ask.check(len(found), len(rows), "once each", query)


def groups_after_filters(ask: Asker) -> None:
    """The same for groups, and for all rows; own columns count a row as often as the filters find it."""
    query, filters = _several_filters(ask, ask.objects.all())
    asked, work = _far_aggregates(ask, "a", filters)
    own = {f"{name}_own": Sum(name) for name in number_names(ask.plan)[:1]} | {"thestar": Count("*")}
    made: dict[Any, list[Row]] = defaultdict(list)
    repeated: dict[Any, list[Row]] = defaultdict(list)
    key = ask.chance.choice(ask.plan.fields).name
    for row in ask.rows:
        for _ in range(_often([row], *filters)[row.pk]):
            repeated[row.values[key]].append(row)
        if all(times(row, tree) for tree in filters):
            made[row.values[key]].append(row)

    def wanted(rows: list[Row], again: list[Row]) -> dict[str, Any]:
        return {
            **{name: work[name](rows) for name in work},
            **{f"{name}_own": sum_of(known_values(again, name)) for name in number_names(ask.plan)[:1]},
            "thestar": len(again),
        }

    grouped = query.values(key).annotate(**asked, **own)
    found = {row[key]: {name: row[name] for name in (*asked, *own)} for row in ask.world.iterate(grouped)}
    ask.check(found, {value: wanted(rows, repeated[value]) for value, rows in made.items()}, grouped)
    least = ask.chance.randint(0, 2)
    kept = grouped.filter(thestar__gt=least).order_by("-thestar")
    sizes = sorted((len(repeated[value]) for value in made if len(repeated[value]) > least), reverse=True)
    ask.check([row["thestar"] for row in ask.world.iterate(kept)], sizes, "kept", least, kept)
    if work:
        name = ask.chance.choice(sorted(work))
        some = grouped.filter(**{f"{name}__gte": least})
        known = {value: work[name](rows) for value, rows in made.items()}
        high = {value for value, found in known.items() if found is not None and found >= least}
        ask.check({row[key] for row in ask.world.iterate(some)}, high, "kept by", name, least, some)
    every = [row for rows in made.values() for row in rows]
    again = [row for rows in repeated.values() for row in rows]
    ask.check(ask.world.call(query, "aggregate", **asked, **own), wanted(every, again), "all", query)


def aggregates_beside_rows(ask: Asker) -> None:
    tree = ask.tree()
    aggregates: dict[str, Any] = {}
    work: dict[str, Callable[[list[Row]], Any]] = {}
    _over_many(ask, ask.plan, aggregates, work, tree)
    for name, link in sorted(ask.plan.links.items()):
        if link.is_many:
            part = ask.one_tree(link.target)
            aggregates[f"{name}_some"] = Count(name, filter=moved_under(part, name))
            work[f"{name}_some"] = lambda rows, name=name, part=part: sum(
                bool(times(other, part)) for row in rows for other in answers.chosen(row, [tree], (name,))
            )
    if not aggregates:
        return
    query = ask.objects.filter(condition(tree)).annotate(**aggregates)
    wanted = {row.pk: {name: work[name]([row]) for name in work} for row in _satisfying(ask.rows, tree)}
    found = [(row.pk, {name: getattr(row, name) for name in aggregates}) for row in ask.world.iterate(query)]
    ask.check(dict(found), wanted, query)
    ask.check(len(found), len(wanted), "once each", query)
    name = ask.chance.choice(sorted(n for n in aggregates if not n.endswith("_total")))
    least = ask.chance.randint(0, 2)
    kept = query.filter(**{f"{name}__gte": least})
    ask.check(ask.keys(kept), Counter(key for key, row in wanted.items() if row[name] >= least), name, least, kept)
    ask.check(ask.world.call(kept, "count"), sum(row[name] >= least for row in wanted.values()), "count", name, kept)


def moved_under(tree: Tree, name: str) -> Q:
    """The condition seen from the other side of a relation."""
    return condition(_under(tree, name))


def _under(tree: Tree, name: str) -> Tree:
    if isinstance(tree, answers.Leaf):
        other = None if tree.other is None else ((name, *tree.other[0]), tree.other[1])
        return answers.Leaf((name, *tree.path), tree.name, tree.lookup, tree.value, other)
    return answers.Node(tree.word, tuple(_under(child, name) for child in tree.children))


def aggregates_over_all(ask: Asker) -> None:
    tree = ask.one_tree()
    rows = sorted(_satisfying(ask.rows, tree), key=lambda row: row.pk)
    query = ask.objects.filter(condition(tree)).order_by(*ask.names())
    cut = ask.chance.choice([None, None, 0, 1, 4])
    if cut is not None:
        query, rows = query[:cut], rows[:cut]
    named: dict[str, Any] = {"then": Count("*")}
    wanted: dict[str, Any] = {"then": len(rows)}
    for name in number_names(ask.plan):
        named |= {f"{name}_s": Sum(name), f"{name}_m": Max(name), f"{name}_d": Count(name, distinct=True)}
        known = known_values(rows, name)
        wanted |= {f"{name}_s": sum_of(known), f"{name}_m": max(known, default=None), f"{name}_d": len(set(known))}
    if cut is None:
        work: dict[str, Callable[[list[Row]], Any]] = {}
        _over_many(ask, ask.plan, named, work)
        wanted |= {name: work[name](rows) for name in work}
    ask.check(ask.world.call(query, "aggregate", **named), wanted, cut, query)


def windows(ask: Asker) -> None:
    before, part = ask.one_tree(), ask.chance.choice(ask.plan.fields).name
    rows = sorted(_satisfying(ask.rows, before), key=lambda row: row.pk, reverse=True)
    counts: dict[Any, int] = defaultdict(int)
    places: dict[Any, int] = {}
    for row in rows:
        counts[row.values[part]] += 1
        places[row.pk] = counts[row.values[part]]
    order = [f"-{name}" for name in ask.names()]
    query = ask.objects.filter(condition(before)).annotate(
        theplace=Window(fn.RowNumber(), partition_by=part, order_by=order if len(order) > 1 else order[0]),
        thesize=Window(Count("*"), partition_by=part),
    )
    found = {row.pk: (row.theplace, row.thesize) for row in ask.world.iterate(query)}
    ask.check(found, {row.pk: (places[row.pk], counts[row.values[part]]) for row in rows}, part, query)
    after = ask.one_tree()
    most = ask.chance.randint(1, 3)
    either = query.filter(Q(theplace__lte=most) | condition(after))
    wanted = Counter(row.pk for row in rows if places[row.pk] <= most or times(row, after))
    ask.check(ask.keys(either), wanted, part, most, either)
    ask.check(ask.world.call(either, "count"), len(wanted), "count", either)


def subqueries(ask: Asker) -> None:
    backward = sorted(
        (plan.name, relation.name)
        for plan in ask.schema.models
        for relation in plan.relations
        if relation.target is ask.plan and relation.kind in {"fk", "one"}
    )
    if not backward:
        return
    name, relation = ask.chance.choice(backward)
    other = next(plan for plan in ask.schema.models if plan.name == name)
    tree, own = ask.tree(other), ask.tree(depth=1)
    inner = other.model.objects.filter(condition(tree))
    tied = inner.filter(**{relation: OuterRef("pk")})
    hit = {r.at(relation)[0].pk for r in ask.schema.rows[name] if times(r, tree) and r.at(relation)}
    test = Exists(tied)
    query = ask.objects.filter(test)
    ask.check(ask.keys(query), Counter(hit), "exists", relation, query)
    query = ask.objects.exclude(test)
    ask.check(ask.keys(query), Counter(row.pk for row in ask.rows if row.pk not in hit), "not exists", query)
    if ask.plan.key != "pair":
        query = ask.objects.filter(pk__in=inner.values(relation))
        ask.check(ask.keys(query), Counter(hit), "in", query)
        query = ask.objects.exclude(pk__in=inner.values(relation))
        ask.check(ask.keys(query), Counter(row.pk for row in ask.rows if row.pk not in hit), "not in", query)
    item = ask.chance.choice(other.fields).name
    best = Subquery(tied.order_by(*KEYS[other.key]).values(item)[:1])
    query = ask.objects.annotate(thebest=best)
    wanted = {}
    for row in ask.rows:
        seen = sorted(
            (r for r in ask.schema.rows[name] if times(r, tree) and row in r.at(relation)), key=lambda r: r.pk
        )
        wanted[row.pk] = seen[0].values[item] if seen else None
    ask.check({row.pk: row.thebest for row in ask.world.iterate(query)}, wanted, "first of them", item, query)
    whole = other.model.objects.filter(**{f"{relation}__in": ask.objects.filter(condition(own))})
    wanted_rows = Counter(r.pk for r in ask.schema.rows[name] if r.at(relation) and times(r.at(relation)[0], own))
    ask.check(ask.keys(whole), wanted_rows, "in a query of instances", own, whole)


def filtered_relations(ask: Asker) -> None:
    names = sorted(name for name, link in ask.plan.links.items() if link.is_many)
    if not names:
        return
    name = ask.chance.choice(names)
    tree, own = ask.own_tree(ask.plan.links[name].target), ask.one_tree()
    query = ask.objects.filter(condition(own)).annotate(thepart=FilteredRelation(name, moved_under(tree, name)))
    counted = query.annotate(then=Count("thepart"))
    wanted = {row.pk: sum(bool(times(o, tree)) for o in row.at(name)) for row in _satisfying(ask.rows, own)}
    ask.check({row.pk: row.then for row in ask.world.iterate(counted)}, wanted, name, counted)
    item = ask.chance.choice(ask.plan.links[name].target.fields).name
    listed = query.values_list(*ask.names(), f"thepart__{item}")
    found = Counter()
    for row in _satisfying(ask.rows, own):
        for other in [o for o in row.at(name) if times(o, tree)] or [None]:
            key = row.pk if isinstance(row.pk, tuple) else (row.pk,)
            found[(*key, None if other is None else other.values[item])] += 1
    ask.check(Counter(ask.world.iterate(listed)), found, name, listed)


def ctes(ask: Asker) -> None:
    tree, after = ask.one_tree(), ask.one_tree()
    query = ask.objects.with_cte("thesome", ask.objects.filter(condition(tree))).filter(condition(after))
    wanted = Counter(row.pk for row in ask.rows if times(row, tree) and times(row, after))
    ask.check(ask.keys(query), wanted, query)
    second = ask.one_tree()
    several = ask.objects.with_cte("thesome", ask.objects.filter(condition(tree))).with_cte(
        "thenext", lambda rows: rows.filter(condition(second))
    )
    wanted = Counter(row.pk for row in ask.rows if times(row, tree) and times(row, second) and times(row, after))
    ask.check(ask.keys(several.filter(condition(after))), wanted, "several", several)
    selves = [
        r for r in ask.plan.relations if r.target is ask.plan and r.kind in {"fk", "one"} and ask.plan.key != "pair"
    ]
    for relation in selves:
        column = ask.names()[0]
        walk = ask.objects.with_cte(
            "thewalk",
            ask.objects.filter(condition(tree)),
            recursive=lambda above, relation=relation, column=column: ask.objects.join(
                theup=Join(above, Q(**{relation.name: F(f"theup__{column}")}))
            ),
            distinct=True,
        )
        reached = {row.pk: row for row in _satisfying(ask.rows, tree)}
        fresh = list(reached.values())
        while fresh:
            fresh = [o for row in fresh for o in row.at(relation.back) if o.pk not in reached]
            reached |= {row.pk: row for row in fresh}
        ask.check(ask.keys(walk), Counter(list(reached)), "recursive", relation.name, walk)


# -- writing ---------------------------------------------------------------------------------------


def updates(ask: Asker) -> None:
    tree = ask.tree()
    item = ask.chance.choice(ask.plan.fields)
    new = ask.chance.choice(FIELD_KINDS[item.kind].pool)
    query = ask.objects.filter(condition(tree))
    hit = {row.pk for row in _satisfying(ask.rows, tree)}
    with contextlib.suppress(UndoneError), ask.world.enter(atomic()):
        number = ask.world.call(query, "update", **{item.name: new})
        ask.check(number, len(hit), "rows updated", item.name, new, query)
        found = {row.pk: getattr(row, item.name) for row in ask.world.iterate(ask.objects.all())}
        wanted = {row.pk: new if row.pk in hit else row.values[item.name] for row in ask.rows}
        ask.check(found, wanted, "after the update", item.name, query)
        raise UndoneError


def deletes(ask: Asker) -> None:
    tree = ask.tree()
    query = ask.objects.filter(condition(tree))
    hit = _satisfying(ask.rows, tree)
    gone = {id(row) for row in hit}
    fresh = list(hit)
    while fresh:
        row = fresh.pop()
        for plan in ask.schema.models:
            for relation in plan.relations:
                if relation.target is row.plan and relation.kind in {"fk", "one"} and not relation.is_nullable:
                    for other in row.at(relation.back):
                        if id(other) not in gone:
                            gone.add(id(other))
                            fresh.append(other)
    with contextlib.suppress(UndoneError), ask.world.enter(atomic()):
        number = ask.world.call(query, "delete")
        ask.check(number, len(hit), "rows deleted", query)
        for plan in ask.schema.models:
            found = ask.keys(plan.model.objects.all())
            wanted = Counter(row.pk for row in ask.schema.rows[plan.name] if id(row) not in gone)
            ask.check(found, wanted, "left of", plan, query)
            for relation in plan.relations:
                _ends_left(ask, plan, relation, gone)
        raise UndoneError


def _ends_left(ask: Asker, plan: ModelPlan, relation: RelationPlan, gone: set[int]) -> None:
    query = plan.model.objects.prefetch_related(relation.name)
    found = {}
    for row in ask.world.iterate(query):
        if relation.kind in {"fk", "one"}:
            found[row.pk] = Counter([pk for pk in [_one(row, relation.name)] if pk is not None])
        else:
            found[row.pk] = Counter(other.pk for other in getattr(row, relation.name).all())
    wanted = {
        row.pk: Counter(other.pk for other in row.at(relation.name) if id(other) not in gone)
        for row in ask.schema.rows[plan.name]
        if id(row) not in gone
    }
    ask.check(found, wanted, "relation left", plan, relation.name, query)


def updates_from_relations(ask: Asker) -> None:
    """A column is set to what a relation of each row has: one row's value, or a sum over many."""
    for item in ask.plan.fields:
        if not item.is_nullable or item.kind not in {"whole", "price", "wide"}:
            continue
        path, last = answers.path_by_chance(ask.chance, ask.plan, is_one=True)
        names = [other.name for other in last.fields if other.kind == item.kind]
        if not path or not names:
            continue
        tree = ask.one_tree()
        query = ask.objects.filter(condition(tree))
        with contextlib.suppress(UndoneError), ask.world.enter(atomic()):
            ask.world.call(query, "update", **{item.name: F(answers.named(path, names[0]))})
            found = {row.pk: getattr(row, item.name) for row in ask.world.iterate(ask.objects.all())}
            wanted = {
                row.pk: value(end(row, path, NO_CHOICE), names[0]) if times(row, tree) else row.values[item.name]
                for row in ask.rows
            }
            ask.check(found, wanted, item.name, path, names[0], query)
            raise UndoneError


def decimals(ask: Asker) -> None:
    """Arithmetic with decimals compares exactly."""
    for item in ask.plan.fields:
        if item.kind not in {"price", "wide"}:
            continue
        bound = Decimal(ask.chance.choice(["0", "1.1", "19.98", "24691357802469135780"]))
        query = ask.objects.annotate(thetwice=F(item.name) * Value(2)).filter(thetwice__gte=bound)
        with localcontext(prec=60):
            known = [row for row in ask.rows if row.values[item.name] is not None]
            wanted = Counter(row.pk for row in known if row.values[item.name] * 2 >= bound)
        ask.check(ask.keys(query), wanted, item.name, bound, query)


def cases(ask: Asker) -> None:
    first, second = ask.one_tree(), ask.one_tree()
    case = Case(When(condition(first), then=Value(2)), When(condition(second), then=Value(1)), default=Value(0))
    known = {row.pk: 2 if times(row, first) else 1 if times(row, second) else 0 for row in ask.rows}
    bound = ask.chance.choice([0, 1, 2])
    query = ask.objects.annotate(thecase=case)
    wanted = Counter(key for key, number in known.items() if number >= bound)
    ask.check(ask.keys(query.filter(thecase__gte=bound)), wanted, bound, query)
    found = ask.world.iterate(query.order_by("-thecase", *ask.names()).values_list("thecase", flat=True))
    ask.check(found, sorted(known.values(), reverse=True), query)
    grouped = query.values("thecase").annotate(thecount=Count("pk"))
    counted = {row["thecase"]: row["thecount"] for row in ask.world.iterate(grouped)}
    ask.check(counted, dict(Counter(known.values())), grouped)


def orders_by_aggregates(ask: Asker) -> None:
    """A row comes once, whatever the filters before the order join."""
    names = sorted(name for name, link in ask.plan.links.items() if link.is_many)
    if not names:
        return
    name, tree = ask.chance.choice(names), ask.one_tree()
    query = ask.objects.filter(condition(tree)).order_by(Count(name).desc(), *ask.names())
    numbers = {row.pk: len(row.at(name)) for row in _satisfying(ask.rows, tree)}
    found = [numbers.get(row.pk) for row in ask.world.iterate(query)]
    ask.check(found, sorted(numbers.values(), reverse=True), name, query)
    far = ask.tree()
    query = ask.objects.filter(condition(far)).order_by(Count(name), *ask.names())
    ask.check(ask.keys(query), Counter(row.pk for row in ask.rows if times(row, far)), name, query)


def conditions_as_values(ask: Asker) -> None:
    tree = ask.one_tree()
    known = {row.pk: bool(times(row, tree)) for row in ask.rows}
    rows = ask.world.iterate(ask.objects.annotate(theanswer=condition(tree)))
    ask.check({row.pk: row.theanswer is True for row in rows}, known, tree)
    query = ask.objects.order_by(condition(tree).desc(nulls="last"), *ask.names())
    found = [known[row.pk] for row in ask.world.iterate(query)]
    ask.check(found, sorted(known.values(), reverse=True), query)


KINDS: list[Callable[[Asker], None]] = [
    cases,
    filter,
    filter,
    filter,
    exclude,
    exclude,
    filters_one_after_another,
    filter_then_exclude,
    set_operations,
    ordered_slices,
    distinct_values,
    values_over_relations,
    instances_and_relations,
    prefetched_parts,
    groups,
    aggregates_beside_rows,
    aggregates_after_filters,
    aggregates_after_filters,
    groups_after_filters,
    groups_after_filters,
    aggregates_over_all,
    windows,
    subqueries,
    filtered_relations,
    ctes,
    updates,
    deletes,
    updates_from_relations,
    decimals,
    orders_by_aggregates,
    conditions_as_values,
]
