"""Many to many: the model in between, made where none is given, and the two of its relations that count."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic.fields import FieldInfo

from datalayer._schema.names import shortened, table_name
from datalayer.errors import ModelError, choices_text, nearest
from datalayer.models.fields import ColumnOptions
from datalayer.models.relations import CASCADE, ForeignKey, Forward, Many, RelationAnnotation


def root_of(model: Any) -> Any:
    """The class that models without a primary key of their own inherit from."""
    return next(cls for cls in model.__mro__ if cls.__dict__.get("__datalayer_root__"))


def is_symmetrical(many: Many, model: Any, target: Any) -> bool:
    """Whether a relation goes both ways at once.

    Raises:
        ModelError: It is said of a relation between two models.
    """
    wanted: bool | None = many.options["symmetrical"]
    if target is not model:
        if wanted:
            raise ModelError(
                f"{model.__name__}.{many.name} has symmetrical=True, which only a relation of a model to itself can be"
            )
        return False
    return wanted is not False


def make_through(many: Many, model: Any, target: Any, key: Callable[[Any], Mapping[str, Any]]) -> Any:
    """The model in between: a foreign key to each side, which together are its primary key.

    Args:
        many: The relation.
        model: The model that declares it.
        target: The one it leads to.
        key: Gives the fields of a model's primary key, with annotations for fields that refer to them.
    """
    own, other = table_name(model.__name__), table_name(target.__name__)
    if own == other:
        own, other = f"from_{own}", f"to_{other}"
    root = root_of(model)
    own, other = _usable(root, own), _usable(root, other)
    body: dict[str, Any] = {
        "__module__": model.__module__,
        "__qualname__": f"{model.__qualname__}_{many.name}",
        "__doc__": f"The rows of {model.__name__}.{many.name}.",
        "__annotations__": {},
    }
    for name, end, is_indexed in ((own, model, False), (other, target, True)):
        _add_side(body, name, end, key(end), is_indexed)
    table = model.__datalayer_options__.table or shortened(table_name(model.__name__))
    body["Meta"] = type(
        "Meta",
        (),
        {
            "table": many.options["db_table"] or shortened(f"{table}_{many.name}"),
            "primary_key": (own, other),
            "managed": model.__datalayer_options__.managed,
        },
    )
    through = type(root)(f"{model.__name__}_{many.name}", (root,), body)
    type.__setattr__(through, "__datalayer_automatic__", True)
    return through


def _usable(root: Any, name: str) -> str:
    """A name that an attribute of a model may have."""
    name = re.sub(r"__+", "_", name.strip("_")) or "row"
    return f"{name}_row" if name in {*dir(root), "pk", "table"} or name.startswith("model_") else name


def _add_side(body: dict[str, Any], name: str, end: Any, key: Mapping[str, Any], is_indexed: bool) -> None:
    """Puts a foreign key into a class body, with fields of its own for a key of several."""
    if len(key) > 1:
        for part, annotation in key.items():
            body["__annotations__"][f"{name}_{part}"] = annotation
        fields = tuple([f"{name}_{part}" for part in key])
        body[name] = ForeignKey(on_delete=CASCADE, related_name="+", fields=fields)
    else:
        body[name] = ForeignKey(on_delete=CASCADE, related_name="+", index=is_indexed)
    body["__annotations__"][name] = RelationAnnotation("ForeignKey", end)


def annotation_of(info: FieldInfo) -> Any:
    """The annotation of a field that holds the values of another: its type and limits, not what its column is."""
    kept = [item for item in info.metadata if not isinstance(item, ColumnOptions)]
    return Annotated[info.annotation, *kept] if kept else info.annotation


def sides(many: Many, model: Any, target: Any, through: Any, ends: Mapping[str, Any]) -> tuple[Forward, Forward]:
    """The relations of the model in between that lead to this model and to the target.

    Args:
        many: The relation.
        model: The model that declares it.
        target: The one it leads to.
        through: The one in between.
        ends: Where each relation of `through` leads.

    Raises:
        ModelError: One is missing, or there are several and `through_fields` does not say which.
    """
    where = f"{model.__name__}.{many.name}"
    relations: dict[str, Forward] = through.__datalayer_relations__
    named = many.options["through_fields"]
    if named is not None:
        for name in named:
            if name not in relations:
                raise ModelError(
                    f"{where} has through_fields={tuple(named)!r}, but {through.__name__} has no relation {name!r}; "
                    f"it has {choices_text(relations)}{nearest(name, relations)}"
                )
        found = tuple([relations[name] for name in named])
        for relation, wanted in zip(found, (model, target), strict=True):
            leads = ends[relation.name]
            if leads is not wanted:
                raise ModelError(
                    f"{where} has through_fields={tuple(named)!r}, but {through.__name__}.{relation.name} leads to "
                    f"{leads.__name__}, not to {wanted.__name__}; the first leads to {model.__name__}, the second to "
                    f"{target.__name__}"
                )
        return found[0], found[1]
    here = [relations[name] for name, end in ends.items() if end is model]
    there = [relations[name] for name, end in ends.items() if end is target]
    if model is target and len(here) == 2:
        return here[0], here[1]
    for end, candidates in ((model, here), (target, there)):
        if not candidates:
            raise ModelError(
                f"{where} goes through {through.__name__}, which has no ForeignKey to {end.__name__}; add one"
            )
        if len(candidates) > 1 or model is target:
            names = ", ".join(relation.name for relation in candidates)
            raise ModelError(
                f"{where} goes through {through.__name__}, whose relations to {end.__name__} are {names}; "
                "say which ones count: through_fields=(to this model, to the target)"
            )
    return here[0], there[0]
