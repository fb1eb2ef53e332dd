"""Asks on the terminal what only a person can know."""

from __future__ import annotations

import sys
from collections.abc import Callable

import typer

from datalayer.errors import MigrationError


class Terminal:
    """The person at the terminal. Questions go to stderr, so that stdout holds results only."""

    def was_renamed(self, kind: str, before: str, after: str) -> bool:
        """Whether what is gone is what is new."""
        return typer.confirm(
            f"{kind} {before} is gone and {after} is new: was it renamed?", default=False, err=True, prompt_suffix=" "
        )

    def agrees(self, question: str) -> bool:
        """Whether something that cannot be undone may be done."""
        return typer.confirm(question, default=False, err=True, prompt_suffix=" ")

    def types(self, question: str, name: str) -> bool:
        """Whether a person types a name, which is harder to do by mistake than `y`."""
        text = f"{question} It is on another machine: type {name} to go on"
        return str(typer.prompt(text, "", err=True, prompt_suffix=": ", show_default=False)) == name

    def value(self, column: str, reason: str, check: Callable[[str], object]) -> str:
        """A value for the rows that exist, asked until it is one of the column's type."""

        def checked(text: str) -> str:
            try:
                check(text)
            except MigrationError as error:
                raise typer.BadParameter(str(error)) from error
            return text

        text = f"column {column} {reason}: what do rows that exist get?"
        if takes_nothing(check):  # an empty line is an answer: an empty text
            text += " (Enter: an empty text)"
        return str(typer.prompt(text, "", err=True, value_proc=checked, prompt_suffix=" ", show_default=False))


def takes_nothing(check: Callable[[str], object]) -> bool:
    """Whether an empty text is a value of the column."""
    try:
        check("")
    except MigrationError:
        return False
    return True


def somebody() -> Terminal | None:
    """Who can be asked; None in a script or a pipe."""
    return Terminal() if sys.stdin.isatty() and sys.stderr.isatty() else None
