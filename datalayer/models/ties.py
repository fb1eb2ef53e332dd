"""Columns in between of a many to many: behind one row, they are those of its own links."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from datalayer._plans.related import matching
from datalayer._query.condition import Condition, Junction
from datalayer._query.expression import Aggregate, Expression, FieldRef
from datalayer._query.path import field_reference
from datalayer._query.query import Query
from datalayer._query.walk import parts
from datalayer._schema.relation import RelationSpec
from datalayer.models.state import key_values

Parent: TypeAlias = tuple[Any, RelationSpec]
"""Of rows behind a relation: the instance and the relation."""


def tied(parent: Parent, condition: Condition) -> Condition:
    """A condition that is about the links of the instance where it is about links."""
    tie = _tie(parent, [condition])
    return condition if tie is None else Junction("and", (condition, tie))


def shown_tied(parent: Parent, query: Query) -> Query:
    """A query whose columns, annotations and order are of the links of the instance where they are of links.

    Aggregates are over all of them, as over everything that hangs on a row.
    """
    every = [node for _, node in (*(query.columns or ()), *query.annotations)] + [
        item.expression for item in query.order
    ]
    tie = _tie(parent, [node for node in every if not any(isinstance(part, Aggregate) for part in parts(node))])
    if tie is None or any(part.shape == tie.shape for condition in query.where for part in parts(condition)):
        return query
    return query.filtered(tie)


def _tie(parent: Parent, nodes: Iterable[Condition | Expression]) -> Condition | None:
    instance, spec = parent
    key = None if spec.through is None else key_values(instance, spec.local)
    if key is None:
        return None
    for part in (part for node in nodes for part in parts(node)):
        relation = spec.target.relations.get(part.path[0]) if isinstance(part, FieldRef) and part.path else None
        if relation is None or relation.target is not spec.through or relation.remote != spec.through_remote:
            continue
        fields = [field_reference(spec.target, (relation.name,), name) for name in spec.through_local]
        return matching(tuple(fields), [key])
    return None
