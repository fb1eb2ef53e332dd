"""The rules of the linter: what can hurt a database that is in use, and the safe way to the same end.

The table of docs/migrations.md says the same; a test keeps the two alike.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """One rule.

    Attributes:
        code: What a file says to silence it: `datalayer: allow M103`.
        danger: What happens.
        recipe: The safe way.
        on_sqlite: Whether it is about SQLite too.
        is_error: Whether `check` fails because of it.
    """

    code: str
    danger: str
    recipe: str
    on_sqlite: bool = False
    is_error: bool = False


RULES = {
    rule.code: rule
    for rule in (
        Rule(
            "M101",
            "a new column that must not be NULL and has no default fails where there are rows",
            "give it a default, or make it nullable, fill it in batches, then online.set_not_null",
            on_sqlite=True,
        ),
        Rule(
            "M102",
            "changing this type writes the whole table anew while nobody can read it",
            "add a new column, copy in batches, move the code over, drop the old column later",
        ),
        Rule(
            "M103",
            "making an index keeps writers out until it is done",
            "online.create_index in a file of its own with atomic = False",
        ),
        Rule(
            "M104",
            "adding a foreign key looks at every row while both tables are locked against writers",
            "online.create_foreign_key, then online.validate in the next migration",
        ),
        Rule(
            "M105",
            "adding a CHECK looks at every row while nobody can read the table",
            "online.create_check, then online.validate in the next migration",
        ),
        Rule(
            "M106",
            "adding a unique constraint makes an index while nobody can read the table",
            "online.create_unique in a file of its own with atomic = False",
        ),
        Rule(
            "M107",
            "SET NOT NULL looks at every row while nobody can read the table",
            "online.set_not_null in a file of its own with atomic = False",
        ),
        Rule(
            "M108",
            "what is dropped is still in a model, whose queries will fail",
            "take it out of the model first; makemigrations then drops it",
            on_sqlite=True,
            is_error=True,
        ),
        Rule(
            "M109",
            "what is dropped may be in use by the code that runs until the new one is deployed, and its values go",
            "deploy code that does not use it any more, and drop it in the deployment after that",
            on_sqlite=True,
        ),
        Rule(
            "M110",
            "code that runs until the new one is deployed knows only the old name",
            "stop the old code first, or add the new name, write both, move over, and drop the old one later",
            on_sqlite=True,
        ),
        Rule(
            "M111",
            "a value that differs from row to row writes the whole table anew while nobody can read it",
            "add the column without it, set the default in a second step, and fill the rows in batches",
        ),
        Rule(
            "M112",
            "dropping an index waits for, and then keeps out, everybody who uses the table",
            "online.drop_index in a file of its own with atomic = False",
        ),
        Rule(
            "M113",
            "rows are changed in the transaction that has locked their table, so the lock lasts as long as all of them",
            "change the rows in a migration of their own, in batches",
        ),
        Rule(
            "M114",
            "several tables in use are locked until the last of them is done, which others may wait for in a circle",
            "one migration for each table",
        ),
        Rule(
            "M115",
            "CONCURRENTLY does not work inside the transaction of a migration",
            "atomic = False in Python, -- datalayer: atomic = false in SQL, or the same in metadata.toml",
            is_error=True,
        ),
        Rule(
            "M116",
            "the whole table is locked for as long as this takes",
            "VACUUM without FULL, REINDEX or DETACH PARTITION CONCURRENTLY, or an hour when nobody is there",
        ),
        Rule(
            "M117",
            "changing the primary key makes an index while nobody can read the table",
            "online.create_unique first, move over, and change the key when nobody is there",
        ),
        Rule(
            "M118",
            "CASCADE and TRUNCATE take more away than this line names",
            "drop what depends on it by name, or delete the rows in batches",
            on_sqlite=True,
        ),
        Rule(
            "M119",
            "adding an exclusion constraint makes an index and looks at every row while nobody can read the table",
            "PostgreSQL has no way that keeps nobody out: an hour when nobody is there",
        ),
    )
}
