"""Schemas, rows and questions by chance, asked of the database and of plain Python; both must say the same.

ORACLE_SCHEMAS says how many schemas each backend and world sees (2 when it is not set), ORACLE_FIRST the number of the
first one, and ORACLE_ASKED a file that counts the questions that were compared.
"""

from __future__ import annotations

import os
import random
import traceback
from collections import Counter

import pytest

from datalayer.models import registry
from datalayer.testing import acreate_tables, adrop_tables, create_tables, drop_tables
from tests.database.queries import chains, further, questions, schemas
from tests.worlds import World

COUNT = int(os.environ.get("ORACLE_SCHEMAS", "2"))
FIRST = int(os.environ.get("ORACLE_FIRST", "0"))
QUESTIONS = int(os.environ.get("ORACLE_QUESTIONS", "15"))
KINDS = questions.KINDS + further.KINDS + chains.KINDS


@pytest.mark.usefixtures("configured")
def test_the_database_answers_as_plain_python_does(world: World) -> None:
    asked: Counter[str] = Counter()
    wrong: list[str] = []
    for seed in range(FIRST, FIRST + COUNT):
        _ask(world, seed, asked, wrong)
    shown = "\n\n".join(wrong[: int(os.environ.get("ORACLE_SHOWN", "3"))])
    assert not wrong, f"{len(wrong)} of {COUNT * QUESTIONS} were answered wrongly:\n\n{shown}"
    assert sum(asked.values()) == COUNT * QUESTIONS
    file = os.environ.get("ORACLE_ASKED")
    if file:
        with open(file, "a") as out:
            out.write("".join(f"{number} {name}\n" for name, number in sorted(asked.items())))


def _ask(world: World, seed: int, asked: Counter[str], wrong: list[str]) -> None:
    chance = random.Random(seed)
    with registry.isolated():
        schema = schemas.drawn(chance, f"s{seed}")
        world.run(lambda: create_tables(*schema.classes), lambda: acreate_tables(*schema.classes))
        schemas.filled(chance, schema, lambda target, method, *args: world.call(target, method, *args))
        for number in range(QUESTIONS):
            ask = chance.choice(KINDS)
            name = ask.__name__
            mark = f"ORACLE_FIRST={seed}: question {number}, {name}"
            try:
                ask(questions.Asker(world, schema, random.Random(f"{seed} {number}"), mark))
            except Exception:
                wrong.append(f"{mark}\n{traceback.format_exc()}")
            asked[name] += 1
        world.run(lambda: drop_tables(*schema.classes), lambda: adrop_tables(*schema.classes))
