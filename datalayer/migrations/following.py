"""What has another name because a model has: the tables that the library makes for its relations of many to many."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from datalayer.migrations.state import State, Table


def followed(old: State, new: State, renames: Mapping[str, str], automatic: Collection[str]) -> dict[str, str]:
    """The renames, and those that follow from them: of the tables of many to many, and of their columns.

    Args:
        old: The tables there are.
        new: The tables of the models.
        renames: What was said, old names to new ones.
        automatic: The tables of `new` that no class of the user's stands for.
    """
    found = dict(renames)
    for name in automatic:
        before = name if name in old else _name_before(name, old, new, found)
        if before is None or before not in old:
            continue
        if before != name:
            found[before] = name
        said = {key.rpartition(".")[2] for key in found if key.rpartition(".")[0] in (before, name)}
        for gone, come in _columns(old[before], new[name], found):
            if gone not in said:
                found[f"{before}.{gone}"] = come
    return found


def _name_before(name: str, old: State, new: State, renames: Mapping[str, str]) -> str | None:
    """The name of a table when its owner had its old one."""
    said = next((before for before, after in renames.items() if after == name and "." not in before), None)
    if said is not None:
        return said
    for before, after in renames.items():
        made = before + name.removeprefix(after)
        if "." not in before and name.startswith(f"{after}_") and made in old and made not in (*new, *renames):
            return made
    return None


def _columns(old: Table, new: Table, renames: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The columns, in their order, that refer to the same table and are called after it."""
    targets = [
        {column: key.target for key in table.foreign_keys.values() for column in key.columns} for table in (old, new)
    ]
    for gone, come in zip(old.columns, new.columns, strict=False):
        target = targets[0].get(gone, "")
        is_moved = target in renames and renames[target] == targets[1].get(come)
        if is_moved and gone not in new.columns and come not in old.columns:
            yield gone, come
