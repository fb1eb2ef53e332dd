from __future__ import annotations

import copy
import pickle
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import pq
from pydantic import BaseModel, SecretStr

from datalayer.conf import DatabaseUrl
from datalayer.errors import ConfigurationError

FULL = "postgresql://ann:s3cret@db.example:5433/shop?sslmode=require"


def test_a_relative_sqlite_file_is_taken_from_the_root(tmp_path: Path) -> None:
    assert DatabaseUrl.parse("sqlite:///db.sqlite3", root=tmp_path).database == str(tmp_path / "db.sqlite3")


def test_a_relative_sqlite_file_without_a_root_is_taken_from_the_working_directory(tmp_path: Path) -> None:
    assert DatabaseUrl.parse("sqlite:///db.sqlite3").database == str(tmp_path / "db.sqlite3")


def test_four_slashes_are_an_absolute_sqlite_file() -> None:
    assert DatabaseUrl.parse("sqlite:////srv/db.sqlite3", root=Path("/elsewhere")).database == "/srv/db.sqlite3"


def test_memory_is_known() -> None:
    url = DatabaseUrl.parse("sqlite:///:memory:")
    assert url.is_memory
    assert url.render() == "sqlite:///:memory:"


def test_a_file_is_not_memory() -> None:
    assert not DatabaseUrl.parse("sqlite:///db.sqlite3").is_memory


def test_the_parts_of_a_postgresql_url_are_read() -> None:
    url = DatabaseUrl.parse(FULL)
    assert (url.backend, url.scheme, url.host, url.port) == ("postgresql", "postgresql", "db.example", 5433)
    assert (url.user, url.password, url.database) == ("ann", SecretStr("s3cret"), "shop")
    assert dict(url.options) == {"sslmode": "require"}


@pytest.mark.parametrize("scheme", ["postgres", "postgresql+psycopg", "PostgreSQL"])
def test_other_spellings_of_postgresql_are_the_same_backend(scheme: str) -> None:
    assert DatabaseUrl.parse(f"{scheme}://h/db").render() == "postgresql://h/db"


def test_rendering_gives_the_url_back() -> None:
    assert DatabaseUrl.parse(FULL).render() == FULL


@pytest.mark.parametrize("text", ["{}", "{!r}"])
def test_printing_hides_the_password(text: str) -> None:
    shown = text.format(DatabaseUrl.parse(FULL))
    assert "s3cret" not in shown
    assert "ann:***@db.example:5433/shop" in shown


def test_a_password_among_the_options_is_hidden_too() -> None:
    assert "s3cret" not in str(DatabaseUrl.parse("postgresql://h/db?password=s3cret&sslpassword=s3cret"))


def test_parts_among_the_options_are_parts() -> None:
    url = DatabaseUrl.parse("postgresql:///?dbname=shop&user=ann&password=s3cret&host=/run/pg&sslmode=require")
    assert (url.database, url.user, url.password, url.host) == ("shop", "ann", SecretStr("s3cret"), "/run/pg")
    assert dict(url.options) == {"sslmode": "require"}


@pytest.mark.parametrize("part", ["user", "password", "host", "dbname"])
def test_a_part_given_twice_is_refused(part: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{part} is given twice"):
        DatabaseUrl.parse(f"postgresql://u:p@h/db?{part}=x")


def test_dumping_a_model_as_json_hides_the_password() -> None:
    class Holder(BaseModel):
        url: DatabaseUrl

    assert "s3cret" not in Holder.model_validate({"url": FULL}).model_dump_json()


def test_a_socket_folder_in_the_options_is_the_host() -> None:
    url = DatabaseUrl.parse("postgresql://ann@/shop?host=/run/postgresql")
    assert url.host == "/run/postgresql"
    assert url.render() == "postgresql://ann@%2Frun%2Fpostgresql/shop"
    assert DatabaseUrl.parse(url.render()) == url


def test_an_ipv6_host_keeps_its_brackets_in_the_url() -> None:
    url = DatabaseUrl.parse("postgresql://[::1]:5432/db")
    assert (url.host, url.port) == ("::1", 5432)
    assert url.render() == "postgresql://[::1]:5432/db"


def test_several_hosts_with_their_own_ports_stay_readable_for_libpq() -> None:
    url = DatabaseUrl.parse("postgresql://a:1,b:2/db")
    assert (url.host, url.port, url.options["port"]) == ("a,b", None, "1,2")
    assert url.render() == "postgresql://a,b/db?port=1,2"


def test_an_at_sign_in_the_password_is_forgiven() -> None:
    assert DatabaseUrl.parse("postgresql://u:p@ss@h/db").password == SecretStr("p@ss")


def test_equal_urls_are_equal_and_hash_alike() -> None:
    assert len({DatabaseUrl.parse(FULL), DatabaseUrl.parse(FULL)}) == 1


def test_options_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        DatabaseUrl.parse(FULL).options["sslmode"] = "disable"  # type: ignore[index]


@pytest.mark.parametrize("text", [FULL, "sqlite:////srv/a b", "sqlite:///:memory:"])
def test_pickle_and_copy_keep_the_url(text: str) -> None:
    url = DatabaseUrl.parse(text)
    assert pickle.loads(pickle.dumps(url)) == copy.deepcopy(url) == url


def test_an_unknown_scheme_names_the_choices_and_the_nearest() -> None:
    with pytest.raises(
        ConfigurationError, match=r"unknown database scheme 'postgresq'.*sqlite, postgresql.*did you mean"
    ):
        DatabaseUrl.parse("postgresq://h/db")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("s3cret", "starts with"),
        ("mysql://u:s3cret@h/db", "choose from sqlite, postgresql"),
        ("postgresql://u:s3cret/x@h/db", "host:port|percent-encoded"),
        ("postgresql://u:12/s3cret@h/db", "percent-encoded"),
        ("postgresql://u:s3cret#x@h/db", "%23"),
        ("postgresql://u:s3cret%@h/db", "written %25"),
        ("postgresql://u:s3cret%ff@h/db", "not UTF-8"),
        ("postgresql://u:s3cret@h:port/db", "host:port"),
        ("postgresql://u:s3cret@h:70000/db", "65535"),
        ("postgresql://u:s3cret@h/db?sslmode", "name=value"),
        ("postgresql://u:s3cret@h/db?sslmode=a&sslmode=s3cret", "'sslmode' is given twice"),
        ("postgresql://u:s3cret@h/db?sslmod=require", "no option 'sslmod'; did you mean 'sslmode'"),
        ("postgresql://u:s3cret@h/db?pool_size=s3cret", "no option 'pool_size'; libpq's options .* settings"),
        ("sqlite:///db.sqlite3?mode=ro", "no options after the '\\?'"),
        ("sqlite://db.sqlite3", "names a file"),
        ("sqlite:///", "names a file"),
        ("sqlite://", "names a file"),
        ("sqlite:///folder/", "names a file"),
    ],
)
def test_a_bad_url_is_refused_without_showing_a_password(text: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason) as caught:
        DatabaseUrl.parse(text)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__context__ is None


parts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)


@given(user=parts, password=parts, name=parts, value=parts)
def test_any_login_survives_rendering_and_parsing(user: str, password: str, name: str, value: str) -> None:
    url = DatabaseUrl("postgresql", name, "h", 5432, user, SecretStr(password), {"application_name": value})
    assert DatabaseUrl.parse(url.render()) == url


@given(name=parts.filter(lambda name: not name.endswith("/")))
def test_any_file_name_survives_rendering_and_parsing(name: str) -> None:
    url = DatabaseUrl.parse(f"sqlite:////srv/x{quote(name, safe='')}")
    assert DatabaseUrl.parse(url.render()) == url


def test_every_option_of_libpq_may_stand_in_a_url() -> None:
    names = [option.keyword.decode() for option in pq.Conninfo.get_defaults()]
    parts = {"user", "password", "host", "dbname"}
    for name in set(names) - parts:
        assert name in DatabaseUrl.parse(f"postgresql://h/db?{name}=1").options


def test_ssl_true_of_java_stays_possible() -> None:
    assert DatabaseUrl.parse("postgresql://h/db?ssl=true").options == {"sslmode": "require"}
