"""Checks of a project's own: they run with those of `datalayer check`, and codes can be silenced."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from datalayer import Deferrable, Mapped, Model, UniqueConstraint, checks, conf
from datalayer.checks import Finding, register
from datalayer.errors import ConfigurationError
from datalayer.migrations import checking, commands
from datalayer.migrations.findings import Checked
from datalayer.models import registry


@pytest.fixture(autouse=True)
def alone(tmp_path: Path) -> Iterator[None]:
    settings = {"databases": {"default": f"sqlite:///{tmp_path}/db.sqlite3"}, "migrations": str(tmp_path)}
    with registry.isolated(), checks.isolated(), conf.override(**settings):
        yield


def said(*codes: str) -> None:
    @register
    def each() -> Iterator[Finding]:
        return (Finding(code, "so it is") for code in codes)


def found() -> Checked:
    return commands.check(tags=("own",))


@pytest.mark.parametrize(
    ("code", "line", "exit_code"),
    [
        ("shop.E001", "error (shop.E001): so it is", 1),
        ("shop.W001", "warning (shop.W001): so it is", 0),
        ("shop.I001", "note (shop.I001): so it is", 0),
    ],
)
def test_the_code_of_a_finding_says_how_bad_it_is(code: str, line: str, exit_code: int) -> None:
    said(code)
    assert (found().lines, found().exit_code) == ([line], exit_code)


def test_a_warning_of_the_project_counts_where_warnings_do() -> None:
    said("shop.W001")
    assert commands.check(tags=("own",), fails_on_warnings=True).exit_code == 1


def test_checks_of_the_project_run_with_all_others_and_not_without() -> None:
    said("shop.W001")
    assert "shop.W001" in {one.code for one in commands.check()}
    assert not commands.check(tags=("migrations",))


def test_a_code_is_silenced_by_the_settings() -> None:
    said("shop.E001", "shop.W002")
    with conf.override(silenced_checks=("shop.E001",)):
        assert [one.code for one in found()] == ["shop.W002"]
        assert found().exit_code == 0


def test_what_makes_the_check_fail_is_never_silent() -> None:
    with (
        conf.override(silenced_checks=("drift",)),
        pytest.raises(ConfigurationError, match="silenced_checks names 'drift'"),
    ):
        found()


@pytest.mark.parametrize("code", ["M999", "m103", "shop.X001", "D111", ""])
def test_a_silenced_code_that_nothing_has_is_told(code: str) -> None:
    with (
        conf.override(silenced_checks=(code,)),
        pytest.raises(ConfigurationError, match=f"silenced_checks names '{code}', and no finding is called so"),
    ):
        found()


def test_every_code_of_the_library_may_be_silenced() -> None:
    folder = Path(checking.__file__).parent
    written = {code for file in folder.glob("*.py") for code in re.findall(r'"([BDM]\d{3})"', file.read_text())}
    assert {"B102", "D110", "M119"} <= written
    with conf.override(silenced_checks=(*written, "pending", "edited")):
        assert not found()


def test_a_code_that_tells_nothing_is_refused() -> None:
    said("wrong")
    with pytest.raises(
        ConfigurationError, match=r"the check .*each found something of the code 'wrong'; .*'shop\.W001'"
    ):
        found()


def test_a_unique_constraint_that_sqlite_does_not_put_off_is_told(postgresql_url: str) -> None:
    class Seat(Model):
        place: Mapped[int]

        class Meta:
            constraints = (UniqueConstraint("place", name="one_place", deferrable=Deferrable.DEFERRED),)

    def told() -> list[str]:
        return [one.message for one in commands.check(tags=("models",)) if one.code == "B102"]

    (message,) = told()
    assert message.startswith(
        "Seat says deferrable of the unique constraint on place, and SQLite checks it with each row"
    )
    with conf.override(databases={"default": postgresql_url}):
        assert told() == []
