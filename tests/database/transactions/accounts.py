"""The Models of these tests: accounts, and the entries of each."""

from __future__ import annotations

from typing import Any

from datalayer import CASCADE, Field, ForeignKey, Mapped, Model, UniqueConstraint
from datalayer.models import registry
from datalayer.testing import acreate_tables, create_tables
from tests.worlds import World

with registry.isolated():

    class Account(Model):
        owner: Mapped[str] = Field(max_length=40, unique=True)
        balance: Mapped[int] = Field(default=0, ge=-1000)
        notes: Mapped[list[str]] = Field(default_factory=list)

        class Meta:
            table = "transactions_account"
            ordering = ("owner",)

    class Entry(Model):
        account: ForeignKey[Account] = ForeignKey(on_delete=CASCADE, related_name="entries")
        number: Mapped[int]
        amount: Mapped[int]

        class Meta:
            table = "transactions_entry"
            constraints = (UniqueConstraint("account", "number"),)

    registry.tables()


class Accounts:
    """What is in the tables, in the world of the test."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.run(lambda: create_tables(Account, Entry), lambda: acreate_tables(Account, Entry))

    def add(self, owner: str, balance: int = 0) -> Account:
        made: Account = self.world.call(Account.objects, "create", owner=owner, balance=balance)
        return made

    def get(self, owner: str) -> Account:
        found: Account = self.world.call(Account.objects, "get", owner=owner)
        return found

    def save(self, instance: Any) -> None:
        self.world.call(instance, "save")

    def all(self) -> dict[str, int]:
        return {account.owner: account.balance for account in self.world.iterate(Account.objects.all())}
