"""Asks on the terminal what only a person can know."""

from __future__ import annotations

import sys
from collections.abc import Callable

import typer

from datalayer.cli import output
from datalayer.errors import MigrationError

_ANSWERS = {"y": True, "yes": True, "n": False, "no": False, "": False}


class Terminal:
    """The person at the terminal. Questions go to stderr, so that stdout holds results only."""

    def was_renamed(self, kind: str, before: str, after: str) -> bool:
        """Whether what is gone is what is new."""
        return confirmed(f"{kind} {before} is gone and {after} is new: was it renamed?")

    def agrees(self, question: str) -> bool:
        """Whether something that cannot be undone may be done."""
        return confirmed(question)

    def types(self, question: str, name: str) -> bool:
        """Whether a person types a name, which is harder to do by mistake than `y`."""
        return asked(f"{question} It is on another machine: type {name} to go on:") == name

    def value(self, column: str, reason: str, check: Callable[[str], object]) -> str:
        """A value for the rows that exist, asked until it is one of the column's type."""
        text = f"column {column} {reason}: what do rows that exist get?"
        if takes_nothing(check):  # an empty line is an answer: an empty text
            text += " (Enter: an empty text)"
        while True:
            answer = asked(text)
            try:
                check(answer)
            except MigrationError as error:
                output.error(str(error))
            else:
                return answer


def asked(text: str) -> str:
    """What a person types."""
    return str(typer.prompt(text, "", err=True, prompt_suffix=" ", show_default=False))


def confirmed(question: str) -> bool:
    """Whether a person says yes; just Enter is no."""
    while True:
        answer = asked(f"{question} [y/N]").strip().lower()
        if answer in _ANSWERS:
            return _ANSWERS[answer]
        output.error(f"{answer!r} is no answer; type y or n")


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
