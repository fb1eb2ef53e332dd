"""Files are laid out as Black and Ruff leave them, whatever the length of a project's lines."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalayer.migrations.layout import WIDTH, laid_out
from datalayer.migrations.lines import q

WORD = "a" * 30


def test_a_line_that_fits_stays() -> None:
    assert laid_out(['op.create_index("ix", "book", ["title"])']) == ['    op.create_index("ix", "book", ["title"])']


def test_a_call_that_is_too_long_has_each_argument_on_a_line_and_a_comma_at_its_end() -> None:
    line = f'op.create_index("{WORD}", "b, (k", [sa.text("{WORD}")], where=types.sql("{WORD} > 1, {WORD}{WORD}"))'
    assert laid_out([line]) == [
        "    op.create_index(",
        f'        "{WORD}",',
        '        "b, (k",',
        f'        [sa.text("{WORD}")],',
        "        where=types.sql(",
        f'            "{WORD} > 1, {WORD}{WORD}",',
        "        ),",
        "    )",
    ]


@pytest.mark.parametrize("line", [f'"{WORD}{WORD}{WORD}"', f"with {WORD}.{WORD}({WORD}) as {WORD}:"])
def test_what_is_no_call_at_its_end_stays_as_long_as_it_is(line: str) -> None:
    assert laid_out([line]) == [f"    {line}"]


@given(texts=st.lists(st.text(max_size=60), min_size=1, max_size=5))
def test_nothing_is_changed_but_the_layout(texts: list[str]) -> None:
    line = f"op.f({q(texts)}, x={', '.join(map(q, texts[:1]))}, y=g({q(texts[-1])}))"
    made = laid_out([line], "")
    assert ast.dump(ast.parse("\n".join(made))) == ast.dump(ast.parse(line))
    assert ast.literal_eval(q(texts)) == texts
    assert all(len(one) <= WIDTH or "(" not in one for one in made) or len(made) > 1
