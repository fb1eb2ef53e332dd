"""Foreign keys that cannot stay while tables change: when they go, and when they come back."""

from __future__ import annotations

from datalayer.migrations.lines import Changes, make_key, q
from datalayer.migrations.state import State, Table


def moved_keys(old: State, new: State) -> set[tuple[str, str]]:
    """The foreign keys, by table and name, that cannot stay while the tables change.

    A key goes when it is another one afterwards, when one of its columns changes its type, or when what makes the
    target's columns unique changes; what else is unique there holds no key.
    """
    moved: set[tuple[str, str]] = set()
    for table in old.values():
        if table.name not in new:
            continue
        for name, key in table.foreign_keys.items():
            target = old.get(key.target)
            pairs = [(table, column) for column in key.columns]
            pairs += [(target, column) for column in key.remote] if target else []
            changed = new[table.name].foreign_keys.get(name) != key
            retyped = any(_retyped(new, one, column) for one, column in pairs)
            after = new.get(key.target)
            bared = target and after and _unique_ways(target, key.remote) - _unique_ways(after, key.remote)
            if changed or retyped or bared:
                moved.add((table.name, name))
    return moved


def _retyped(new: State, table: Table, column: str) -> bool:
    after = new[table.name].columns.get(column) if table.name in new else None
    return after is not None and after.type_text != table.columns[column].type_text


def _unique_ways(table: Table, columns: tuple[str, ...]) -> set[tuple[str, object]]:
    """What makes rows of a table unique by these columns."""
    ways: list[tuple[str, object, tuple[str, ...]]] = [(name, one, one.columns) for name, one in table.uniques.items()]
    ways += [(name, one, one.parts) for name, one in table.indexes.items() if one.unique]
    ways.append((table.primary_key_name, table.primary_key, table.primary_key))
    return {(name, one) for name, one, parts in ways if set(parts) == set(columns)}


def early_keys(old: State, new: State) -> set[tuple[str, str]]:
    """The foreign keys of tables that are new, by table and name, whose targets are not yet what they refer to.

    Such a target changes in the same migration: the column or what makes it unique is new, or its type changes. The
    other way around, from `new` to `old`, these are the keys that must go before their targets change back.
    """
    found: set[tuple[str, str]] = set()
    for table in new.values():
        for name, key in table.foreign_keys.items() if table.name not in old else ():
            before, after = old.get(key.target), new.get(key.target)
            if before is None or after is None:
                continue
            known = all(column in before.columns and not _retyped(new, before, column) for column in key.remote)
            if not known or not _unique_ways(before, key.remote) & _unique_ways(after, key.remote):
                found.add((table.name, name))
    return found


def need_passes(old: State, new: State, moved: set[tuple[str, str]]) -> tuple[bool, bool]:
    """Whether foreign keys must go before everything else, and come after it, in steps of their own.

    That costs SQLite a second copy of the table, so it is done only where two tables depend on it.
    """
    changed = {name for name in old if old[name] != new.get(name)}
    held = [(table, old[table].foreign_keys[name].target) for table, name in moved]
    before = any(target in changed and (target != table or _loses_index(old, new, table)) for table, target in held)
    after = any(
        key.target in changed - {table.name} and key.target in old
        for table in new.values()
        if table.name in old
        for name, key in table.foreign_keys.items()
        if (table.name, name) in moved or name not in old[table.name].foreign_keys
    )
    return before, after


def _loses_index(old: State, new: State, table: str) -> bool:
    """Whether a unique index of a table goes, as a statement of its own."""
    return any(one.unique and new[table].indexes.get(name) != one for name, one in old[table].indexes.items())


def dropped_keys(old: Table, new: Table, moved: set[tuple[str, str]], changes: Changes) -> list[str]:
    """The lines of a batch that take foreign keys away."""
    lines: list[str] = []
    for name, key in old.foreign_keys.items():
        if (old.name, name) in moved:
            lines.append(f'batch.drop_constraint({q(name)}, type_="foreignkey")')
            if new.foreign_keys.get(name) != key:
                changes.add_small([], f"drop foreign key {name}", old.name)
    return lines


def made_keys(old: Table, new: Table, moved: set[tuple[str, str]], changes: Changes) -> list[str]:
    """The lines of a batch that make them."""
    lines: list[str] = []
    for name, key in new.foreign_keys.items():
        if (old.name, name) in moved or name not in old.foreign_keys:
            lines.append(make_key(name, key))
            if old.foreign_keys.get(name) != key:
                changes.add_small([], f"create foreign key {name}", new.name)
    return lines
