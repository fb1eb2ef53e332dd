"""docs/commands.md names every command with all of its options."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from datalayer.cli import app

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "commands.md").read_text("utf-8")
SECTIONS = {match[1]: match[2] for match in re.finditer(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)}
OTHERS = {"Rows from Python", "Commands of your own", "Options of several commands", "Completion"}
GROUP: Any = app.command_line()


@pytest.mark.parametrize("name", app.command_names())
def test_the_page_has_a_section_with_every_option(name: str) -> None:
    common = SECTIONS["Options of several commands"]
    command = GROUP.commands[name]
    params = [item for each in (command, *getattr(command, "commands", {}).values()) for item in each.params]
    options = [option for item in params for option in item.opts if option.startswith("--")]
    assert name in SECTIONS
    assert [option for option in options if f"`{option}" not in SECTIONS[name] + common] == []


def test_the_page_names_no_command_that_is_not_there() -> None:
    assert sorted(SECTIONS.keys() - OTHERS) == app.command_names()


@pytest.mark.parametrize("name", app.command_names())
def test_the_help_begins_with_a_line_that_fits_the_list_on_eighty_columns(name: str) -> None:
    command = GROUP.commands[name]
    for each in (command, *getattr(command, "commands", {}).values()):
        assert not each.get_short_help_str(55).endswith("...")


@pytest.mark.parametrize("name", app.command_names())
def test_the_help_shows_examples_line_by_line_and_no_type_of_python(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for below in getattr(GROUP.commands[name], "commands", {"": None}):
        words = [name, below] if below else [name]
        assert app.main([*words, "--help"]) == 0
        help_text = capsys.readouterr().out
        assert re.search(rf"^  Examples?:\n    .*datalayer {' '.join(words)}", help_text, re.MULTILINE)
        assert re.findall(r"\\b|<\w+|\[\[|\{|^Usage:.*[a-z]\]", help_text, re.MULTILINE) == []


@pytest.mark.parametrize("name", app.command_names())
def test_no_line_of_the_help_is_longer_than_a_terminal_of_eighty_columns(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for below in getattr(GROUP.commands[name], "commands", {"": None}):
        assert app.main([*([name, below] if below else [name]), "--help"]) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if len(line) > 80] == []


DIESEL = (Path(__file__).resolve().parents[3] / "docs" / "coming-from-diesel.md").read_text("utf-8")
COUNTERPARTS = re.findall(
    r"^\| (`[^|]+) \| (?:`(datalayer [^`]+)`|[^|]+)[^|]* \| [^|]*\|$", DIESEL.replace("\\|", ""), re.M
)


@pytest.mark.parametrize("line", sorted({line for _, line in COUNTERPARTS if line}))
def test_what_stands_for_a_command_of_diesel_is_there(line: str) -> None:
    words = line.split()[1:]
    options = {word for word in words if word.startswith("--")} - {"--config", "--traceback"}
    command = GROUP
    for word in words:
        command = getattr(command, "commands", {}).get(word, command)
    assert command is not GROUP or line.startswith("datalayer --")
    assert options - {"--help"} <= {option for item in command.params for option in item.opts}


@pytest.mark.parametrize(
    "theirs",
    [
        "setup",
        "database setup",
        "db setup",
        "--no-default-migration",
        "database reset",
        "database drop",
        "migration run",
        "--no-schema",
        "migration revert",
        "-n 2",
        "--all",
        "migration redo",
        "migration list",
        "migration pending",
        "migration generate NAME",
        "--version V",
        "-u",
        "--no-down",
        "--format sql",
        "--diff-schema",
        "--only-tables",
        "--except-tables",
        "--schema-key",
        "print-schema",
        "--schema",
        "--with-docs",
        "--with-docs-config",
        "--column-sorting",
        "--patch-file",
        "--import-types",
        "--include-views",
        "--experimental-infer-nullable-for-views",
        "--allow-tables-to-appear-in-same-query-config",
        "--no-generate-missing-sql-type-definitions",
        "--except-custom-type-definitions",
        "--custom-type-derives",
        "--custom-enum-derives",
        "--no-generate-rust-enum-types",
        "--pg-domains-as-custom-types",
        "--sqlite-integer-primary-key-is-bigint",
        "completions SHELL",
        "--help",
        "--version",
        "--database-url",
        "--migration-dir",
        "--config-file",
        "--locked-schema",
        "DIESEL_LOG",
        "MIGRATION_DIRECTORY",
        "DIESEL_CONFIG_FILE",
    ],
)
def test_each_command_and_option_of_diesel_has_a_line(theirs: str) -> None:
    assert any(re.search(rf"(`|, |\s){re.escape(theirs)}(`|\b)", said) for said, _ in COUNTERPARTS)
