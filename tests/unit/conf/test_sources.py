from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalayer.conf.sources import Variable, interpolate, line_numbers, parse_dotenv
from datalayer.errors import ConfigurationError


def values(text: str) -> dict[str, str]:
    return {name: variable.value for name, variable in parse_dotenv(text).items()}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("A=1", "1"),
        ("  export A = 1  ", "1"),
        ("A=", ""),
        ("A= # nothing", ""),
        ("A=one two # three", "one two"),
        ("A=pa#ss", "pa#ss"),
        ("A='it is # $HOME \\n'", "it is # $HOME \\n"),
        ('A="a\\n\\"b\\" \\\\"  # why', 'a\n"b" \\'),
        ('A="two\nlines"', "two\nlines"),
        ("A=it's", "it's"),
        ("# comment\n\nA=1\n", "1"),
        ("A=x=y", "x=y"),
    ],
)
def test_a_dotenv_value_is_read(text: str, value: str) -> None:
    assert values(text) == {"A": value}


def test_every_dotenv_variable_knows_its_line() -> None:
    found = parse_dotenv("# one\nA='x\ny'\n\nB=2\n")
    assert [variable.origin for variable in found.values()] == [".env:2", ".env:5"]


@pytest.mark.parametrize("line", ["s3cret", "A B=s3cret", "A='s3cret", 'A="s3cret" x', "1A=s3cret", "A=#s3cret"])
def test_a_bad_dotenv_line_is_named_and_not_shown(line: str) -> None:
    with pytest.raises(ConfigurationError, match=r"\.env:2: not NAME=value") as caught:
        parse_dotenv(f"X=1\n{line}\n")
    assert "s3cret" not in str(caught.value)


def test_a_dotenv_name_may_stand_there_once() -> None:
    with pytest.raises(ConfigurationError, match=r"\.env:3: A is already set at \.env:1"):
        parse_dotenv("A=1\nB=1\nA=2")


@given(
    st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True), st.text(st.characters(codec="utf-8")))
)
def test_any_values_survive_a_double_quoted_dotenv(variables: dict[str, str]) -> None:
    def escaped(value: str) -> str:
        return value.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "\\r")

    text = "\n".join(f'{name}="{escaped(value)}"' for name, value in variables.items())
    assert values(text) == variables


def test_the_line_of_every_key_is_found() -> None:
    text = '''a = 1
b = [
  "x]",  # ]
  "y",
]
"c.d".e = """
f = 1
"""

[t]
pool = { size = 1, "b" = { c = 2 } }
[t.u] # comment
k = 'v'
[[many]]
one = 1
'''
    assert line_numbers(text) == {
        ("a",): 1,
        ("b",): 2,
        ("c.d",): 6,
        ("c.d", "e"): 6,
        ("t",): 10,
        ("t", "pool"): 11,
        ("t", "pool", "size"): 11,
        ("t", "pool", "b"): 11,
        ("t", "pool", "b", "c"): 11,
        ("t", "u"): 12,
        ("t", "u", "k"): 13,
        ("many",): 14,
        ("many", "one"): 15,
    }


SET = {"A": Variable("A", "1", "A (environment)"), "EMPTY": Variable("EMPTY", "", "EMPTY (environment)")}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x${A}y${A}", "x1y1"),
        ("${B:-two}", "two"),
        ("${B:-}", ""),
        ("${A:-two}", "1"),
        ("${EMPTY:-two}", "two"),
        ("[${EMPTY}]", "[]"),
        ("$${A}", "${A}"),
        ("$A $ {A}", "$A $ {A}"),
    ],
)
def test_references_are_filled_in(text: str, value: str) -> None:
    assert interpolate(text, SET)[0] == value


def test_an_unset_variable_is_named() -> None:
    with pytest.raises(ValueError, match="variable B is not set"):
        interpolate("${B}", SET)


@pytest.mark.parametrize("text", ["${A", "${}", "${A-x}", "${A:-${B}}", "${1}"])
def test_a_malformed_reference_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is written"):
        interpolate(text, SET)


@given(st.text())
def test_the_value_of_a_variable_is_never_read_again(value: str) -> None:
    assert interpolate("${A}", {"A": Variable("A", value, "")})[0] == value
