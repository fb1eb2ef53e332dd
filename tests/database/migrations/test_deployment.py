"""`check --deploy` and `check --tag`: what is no good in production, and which checks run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datalayer import conf
from datalayer.errors import MigrationError
from datalayer.migrations import commands
from tests.database.migrations.files import python

REMOTE = "postgresql://shop:{}@db.example.org/shop"


def codes(*tags: str, **more: Any) -> set[str]:
    return {finding.code for finding in commands.check(tags=tags, **more)}


def deployed(**settings: Any) -> set[str]:
    """What is said of settings whose server is not there to be asked."""
    with conf.override(**settings):
        return codes("deploy") - {"database"}


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"databases": {"default": REMOTE.format("a-long-one")}}, "D102"),
        ({"databases": {"default": REMOTE.format("shop") + "?sslmode=verify-full"}}, "D103"),
        ({"databases": {"default": "sqlite:///:memory:"}}, "D104"),
        ({"databases": {"default": "sqlite:///:memory:"}, "allow_sync_in_async": True}, "D105"),
        (
            {
                "databases": {
                    "default": {
                        "url": REMOTE.format("a-long-one") + "?sslmode=require",
                        "migrate": {"lock_timeout": None},
                    }
                }
            },
            "D106",
        ),
    ],
)
def test_what_settings_say_is_looked_at_without_a_server(settings: dict[str, Any], code: str) -> None:
    assert code in deployed(**settings)


def test_settings_that_are_good_are_not_complained_of() -> None:
    assert deployed(databases={"default": REMOTE.format("a-long-one") + "?sslmode=verify-full"}) == set()


@pytest.mark.parametrize(
    ("url", "found"), [("postgresql://shop:a-long-one@localhost/shop", True), ("${SHOP_URL}", False)]
)
def test_a_password_in_the_settings_file_is_found(
    url: str, found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("SHOP_URL", "postgresql://shop:a-long-one@localhost/shop")
    (tmp_path / "datalayer.toml").write_text(f'[databases.default]\nurl = "{url}"\n')
    conf.reset()
    messages = [finding.message for finding in commands.check(tags=("deploy",)) if finding.code == "D101"]
    conf.reset()
    assert [message.startswith("databases.default.url (datalayer.toml:2) ") for message in messages] == [True] * found
    assert "a-long-one" not in "".join(messages)


def test_the_server_is_asked_for_what_only_it_knows(postgresql_url: str, tmp_path: Path) -> None:
    more = {"url": postgresql_url, "pool": {"max_size": 10_000}}
    with conf.override(databases={"default": more}, migrations=str(tmp_path)):
        assert {"D107", "D108", "D109"} <= codes("deploy")  # the tests' server, role and fsync=off are not production's


def test_a_file_of_sqlite_is_no_danger(tmp_path: Path) -> None:
    with conf.override(databases={"default": f"sqlite:///{tmp_path}/db.sqlite3"}, migrations=str(tmp_path)):
        assert codes("deploy") == set()


def test_findings_of_deploy_are_warnings_and_come_when_asked(migrations: Path) -> None:
    with conf.override(allow_sync_in_async=True):
        assert "D105" not in codes()
        found = commands.check(deploy=True, fails_on_warnings=True)
        assert [str(one).startswith("warning (D105): ") for one in found if one.code == "D105"] == [True]
        assert found.exit_code == 1


def test_tags_choose_what_is_looked_at(migrations: Path) -> None:
    python(migrations, "0001_wrong", None, '    op.drop_table("nowhere")')
    assert codes("migrations") == {"migrations"}
    assert "migrations" not in codes("deploy")
    (migrations / "0001_wrong.py").unlink()
    python(migrations, "0001_right", None, '    op.create_table("t", sa.Column("id", types.BigInteger()))')
    assert "pending" in codes("database")
    assert "pending" not in codes("schema")
    assert codes("dangers") == set()


def test_an_unknown_tag_names_those_there_are() -> None:
    with pytest.raises(MigrationError, match=r"no tag 'databse'; the tags are .*; did you mean 'database'"):
        commands.check(tags=("databse",))
