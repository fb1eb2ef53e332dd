"""Addresses that pydantic checks by email-validator, and texts that nobody is to read in a log."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from pydantic import EmailStr, SecretStr, ValidationError

from datalayer import Field, Mapped, Model, register_type
from datalayer.databases.events import Listener, Statement, listen
from datalayer.databases.listeners import SlowQueryLog
from datalayer.errors import InvalidValue, UniqueViolation
from datalayer.models import registry
from datalayer.testing import acreate_tables, capture_queries, create_tables
from tests.worlds import World

register_type(SecretStr, like=str, dump=SecretStr.get_secret_value, load=SecretStr)

with registry.isolated():

    class Person(Model):
        mail: Mapped[EmailStr] = Field(max_length=60, unique=True)
        other: Mapped[EmailStr | None] = Field(default=None)
        word: Mapped[SecretStr] = Field(unique=True)

        class Meta:
            table = "secrets_person"

    registry.tables()

SAID = "open sesame"


@pytest.fixture(autouse=True)
def tables(configured: str, world: World) -> None:
    world.run(lambda: create_tables(Person), lambda: acreate_tables(Person))


def made(world: World, **values: Any) -> Person:
    given: dict[str, Any] = {"mail": "Ann@EXAMPLE.org", "word": SecretStr(SAID), **values}
    person: Person = world.call(Person.objects, "create", **given)
    return person


def test_an_address_comes_back_as_pydantic_writes_it_and_is_found_so(world: World) -> None:
    made(world, other="b@example.org")
    person = world.call(Person.objects, "get", mail="Ann@example.org")
    assert (person.mail, person.other) == ("Ann@example.org", "b@example.org")
    assert world.call(Person.objects.filter(mail__iendswith="@example.ORG"), "exists")
    assert Person.model_json_schema()["properties"]["mail"] == {
        "format": "email", "maxLength": 60, "title": "Mail", "type": "string"
    }  # fmt: skip


def test_what_is_no_address_is_refused_on_every_way_into_a_row(world: World) -> None:
    person = made(world)
    with pytest.raises(ValidationError, match="not a valid email address"):
        made(world, mail="ann")
    with pytest.raises(ValidationError, match="not a valid email address"):
        person.other = "ann@"
    with pytest.raises(InvalidValue, match=r"Person.mail cannot be 'ann': value is not a valid email address"):
        world.call(Person.objects.all(), "update", mail="ann")


def test_a_secret_comes_back_as_one_and_is_found_by_another(world: World) -> None:
    made(world)
    person = world.call(Person.objects, "get", word=SecretStr(SAID))
    assert isinstance(person.word, SecretStr)
    assert person.word.get_secret_value() == SAID
    assert SAID not in repr(person) + str(person.model_dump())


def test_a_secret_is_in_no_message_log_or_repr(world: World, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[object] = []

    class Ear(Listener):
        def statement_finished(self, statement: Statement) -> None:
            heard.append(statement)

        statement_failed = statement_finished

    slow = SlowQueryLog(0)
    with caplog.at_level(logging.DEBUG), listen(Ear()), listen(slow), capture_queries() as sent:
        made(world)
        with pytest.raises(UniqueViolation) as caught:
            made(world, mail="b@example.org")
    assert caught.value.values == {"word": "**********"}
    assert "INSERT" in caplog.text
    shown = [str(caught.value), repr(caught.value), repr(sent), str(sent), caplog.text, *map(repr, heard)]
    assert not [text for text in shown if SAID in text]
