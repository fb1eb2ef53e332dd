from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datalayer.conf import Settings, load
from datalayer.conf.options import PoolSettings
from datalayer.conf.show import shown
from datalayer.errors import ConfigurationError, SettingsNotConfigured
from datalayer.pooling import PoolConfig

from .conftest import Write

TOUR = """models = ["shop.models"]              # modules that declare Models
migrations = "migrations"             # folder, relative to this file

[databases.default]
url = "sqlite:///db.sqlite3"
pool = { max_size = 10, min_idle = 0, connection_timeout = 30 }
"""


def problem(environ: dict[str, str] | None = None) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load(environ=environ or {})
    return caught.value


# -- where values come from


def test_the_file_of_the_tour_is_read(write: Write, project: Path) -> None:
    write(TOUR)
    settings = load(environ={})
    assert settings.models == ("shop.models",)
    assert settings.migrations == project / "migrations"
    assert settings.databases["default"].url.database == str(project / "db.sqlite3")
    assert settings.databases["default"].pool.max_size == 10
    assert settings.root == project


@pytest.mark.parametrize(
    ("key", "origin"),
    [
        ("models", "datalayer.toml:1"),
        ("databases.default.url", "datalayer.toml:5"),
        ("databases.default.pool.max_size", "datalayer.toml:6"),
        ("databases.default.pool.max_lifetime", "default"),
        ("allow_sync_in_async", "default"),
        ("root", "datalayer.toml"),
    ],
)
def test_every_value_knows_its_origin(write: Write, key: str, origin: str) -> None:
    write(TOUR)
    assert load(environ={}).origin(key) == origin


def test_the_origin_of_a_branch_names_all_its_places(write: Write) -> None:
    write(TOUR)
    assert load(environ={"DATABASE_URL": "sqlite:///x"}).origin("databases.default") == (
        "DATABASE_URL (environment), default, datalayer.toml:6"
    )


def test_asking_the_origin_of_an_unknown_key_names_the_nearest(write: Write) -> None:
    write(TOUR)
    with pytest.raises(ConfigurationError, match=r"did you mean 'databases.default.url'"):
        load(environ={}).origin("databases.default.ulr")


def test_pyproject_holds_the_same_keys(write: Write) -> None:
    write('[project]\nname = "x"\n[tool.datalayer]\nmodels = ["shop.models"]\n', "pyproject.toml")
    settings = load(environ={})
    assert settings.models == ("shop.models",)
    assert settings.origin("models") == "pyproject.toml:4"


def test_the_file_is_searched_upwards(write: Write, project: Path) -> None:
    write(TOUR)
    folder = project / "a" / "b"
    folder.mkdir(parents=True)
    assert load(folder, environ={}).root == project


@pytest.mark.parametrize(
    "text",
    [
        '[ tool . "datalayer" ]\nmodels = ["shop.models"]\n',
        '[tool]\ndatalayer = {models = ["shop.models"]}\n',
        '[tool]\n[tool.other]\n[tool.datalayer]\nmodels = ["shop.models"]\n',
        'tool.datalayer.models = ["shop.models"]\n',
        'tool = {other = 1, datalayer = {models = ["shop.models"]}}\n',
    ],
)
def test_our_table_is_found_however_it_is_written(write: Write, text: str) -> None:
    write(text, "pyproject.toml")
    assert load().models == ("shop.models",)


def test_a_pyproject_without_our_table_does_not_stop_the_search(write: Write, project: Path) -> None:
    write(TOUR)
    write("[tool.other]\n", "a/pyproject.toml")
    assert load(project / "a", environ={}).root == project


def test_two_files_in_one_folder_are_refused(write: Write) -> None:
    write(TOUR)
    write("[tool.datalayer]\n", "pyproject.toml")
    assert "keep one" in str(problem())


def test_a_variable_names_the_file(write: Write, project: Path) -> None:
    write('models = ["a"]', "conf/other.toml")
    settings = load(environ={"DATALAYER_CONFIG": "conf/other.toml"})
    assert (settings.models, settings.root) == (("a",), project / "conf")


def test_a_named_file_must_exist() -> None:
    assert "DATALAYER_CONFIG names no file" in str(problem({"DATALAYER_CONFIG": "gone.toml"}))


def test_later_sources_win(write: Write) -> None:
    write('[databases.default]\nurl = "sqlite:///file"\n')
    write("DATABASE_URL=sqlite:///dotenv\n", ".env")
    assert load(environ={}).origin("databases.default.url") == "DATABASE_URL, .env:1"
    settings = load(environ={"DATABASE_URL": "sqlite:///environment"})
    assert settings.origin("databases.default.url") == "DATABASE_URL (environment)"
    assert settings.databases["default"].url.database.endswith("environment")


def test_the_longer_variable_beats_the_shorter_one() -> None:
    settings = load(environ={"DATABASE_URL": "sqlite:///a", "DATALAYER_DATABASES__DEFAULT__URL": "sqlite:///b"})
    assert settings.databases["default"].url.database.endswith("b")


def test_a_variable_sets_one_key_deep_inside_and_leaves_its_neighbours(write: Write) -> None:
    write(TOUR)
    pool = load(environ={"DATALAYER_DATABASES__DEFAULT__POOL__MAX_SIZE": "20"}).databases["default"].pool
    assert (pool.max_size, pool.connection_timeout) == (20, 30)


def test_a_variable_finds_an_alias_in_any_case(write: Write) -> None:
    write('[databases.Reports]\nurl = "sqlite:///a"\n')
    assert list(load(environ={"DATALAYER_DATABASES__REPORTS__TRANSACTION_POOLING": "true"}).databases) == ["Reports"]


@pytest.mark.parametrize("text", ['["a", "b.c"]', "['a', 'b.c']"])
def test_a_list_in_a_variable_is_json_or_toml(text: str) -> None:
    assert load(environ={"DATALAYER_MODELS": text}).models == ("a", "b.c")


def test_a_table_in_a_variable_is_layered_key_by_key(write: Write) -> None:
    write(TOUR)
    pool = load(environ={"DATALAYER_DATABASES__DEFAULT__POOL": "{max_size = 7}"}).databases["default"].pool
    assert (pool.max_size, pool.connection_timeout) == (7, 30)


def test_a_url_alone_may_stand_for_a_database() -> None:
    assert load(environ={"DATALAYER_DATABASES__LOGS": "sqlite:///:memory:"}).databases["logs"].url.is_memory


@given(names=st.lists(st.from_regex(r"[a-z]{1,5}(\.[a-z]{1,5}){0,2}", fullmatch=True), max_size=4))
def test_any_list_of_modules_survives_a_variable(names: list[str]) -> None:
    assert load(environ={"DATALAYER_MODELS": json.dumps(names)}).models == tuple(names)


# -- references


def test_a_reference_takes_the_environment_before_dotenv(write: Write) -> None:
    write('[databases.default]\nurl = "sqlite:///${NAME}"\n')
    write("NAME=dotenv\n", ".env")
    assert load(environ={}).databases["default"].url.database.endswith("dotenv")
    assert load(environ={"NAME": "environment"}).databases["default"].url.database.endswith("environment")


def test_the_origin_of_a_reference_names_the_variable(write: Write) -> None:
    write('\nmigrations = "${M}"\n')
    write("\nM=x\n", ".env")
    assert load(environ={}).origin("migrations") == "datalayer.toml:2 with M, .env:2"


def test_an_unset_reference_names_key_line_and_variable(write: Write) -> None:
    write(TOUR + '\n[databases.reports]\nurl = "${REPORTS_URL}"\n')
    error = problem()
    assert str(error).startswith("databases.reports.url (datalayer.toml:9): the variable REPORTS_URL is not set")
    assert (error.key, error.origin) == ("databases.reports.url", "datalayer.toml:9")


def test_a_reference_in_a_replaced_value_need_not_be_set(write: Write) -> None:
    write('[databases.default]\nurl = "${NOT_SET}"\n')
    assert load(environ={"DATABASE_URL": "sqlite:///:memory:"}).databases["default"].url.is_memory


def test_a_reference_may_stand_for_a_number_or_in_a_list(write: Write) -> None:
    write('models = ["${APP}.models"]\n[databases.default]\nurl = "sqlite:///x"\npool.max_size = "${SIZE}"\n')
    settings = load(environ={"APP": "shop", "SIZE": "3"})
    assert (settings.models, settings.databases["default"].pool.max_size) == (("shop.models",), 3)


# -- mistakes


def test_without_any_source_the_error_says_what_to_do() -> None:
    with pytest.raises(SettingsNotConfigured, match=r"startproject.*datalayer\.toml.*configure"):
        load(environ={})


def test_bad_toml_names_file_and_line(write: Write) -> None:
    write("models = []\nmigrations = \n")
    error = problem()
    assert str(error).startswith("datalayer.toml:2: not valid TOML: invalid value")
    assert error.origin == "datalayer.toml:2"


def test_a_file_that_is_not_utf8_is_named(project: Path) -> None:
    (project / "datalayer.toml").write_bytes(b'models = ["\xff"]')
    assert "datalayer.toml is not UTF-8" in str(problem())


def test_an_unknown_key_names_line_and_nearest(write: Write) -> None:
    write(TOUR.replace("max_size", "max_sise"))
    assert str(problem()) == (
        "databases.default.pool.max_sise (datalayer.toml:6): unknown key; did you mean 'max_size'?"
    )


def test_an_unknown_variable_names_the_nearest_variable(write: Write) -> None:
    write(TOUR)
    assert "did you mean 'DATALAYER_DATABASES__DEFAULT__POOL__MAX_SIZE'" in str(
        problem({"DATALAYER_DATABASES__DEFAULT__POOL__MAX_SISE": "1"})
    )


def test_an_unknown_variable_in_dotenv_is_refused_too(write: Write) -> None:
    write(TOUR)
    write("X=1\nDATALAYER_MODLES=[]\n", ".env")
    assert str(problem()) == "modles (DATALAYER_MODLES, .env:2): no such setting; did you mean 'DATALAYER_MODELS'?"


def test_a_variable_of_the_wrong_type_names_variable_and_key(write: Write) -> None:
    write(TOUR)
    text = str(problem({"DATALAYER_DATABASES__DEFAULT__POOL__MAX_SIZE": "many"}))
    assert text.startswith(
        "databases.default.pool.max_size (DATALAYER_DATABASES__DEFAULT__POOL__MAX_SIZE (environment)): must be"
    )


@pytest.mark.parametrize("name", ["DATALAYER_", "DATALAYER_DATABASES__", "DATALAYER_DATABASES____URL"])
def test_a_variable_with_an_empty_part_is_refused_by_name(name: str) -> None:
    text = str(problem({name: "1"}))
    assert name in text
    assert "a name is missing" in text


def test_a_list_variable_that_is_no_list_says_how_to_write_one() -> None:
    assert "must be a JSON or TOML value" in str(problem({"DATALAYER_MODELS": "shop.models"}))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('models = "shop.models"', "models (datalayer.toml:1): must be a list"),
        ('models = ["shop/models"]', "dotted module name"),
        ('allow_sync_in_async = "yes"', "must be true or false, without quotes"),
        ("allow_sync_in_async = 1", "must be true or false, not a number"),
        ('databases.a = {url = "sqlite:///a", pool.max_size = "10"}', "must be a whole number, without quotes"),
        ('databases.a = {url = "sqlite:///a", pool.max_size = true}', "must be a whole number, not true or false"),
        ('databases.a = {url = "sqlite:///a", pool.max_size = 0}', "greater than or equal to 1"),
        ('databases.a = {url = "sqlite:///a", pool = {min_idle = 11}}', "min_idle (11) is larger than max_size (10)"),
        ('databases.a = {url = "sqlite:///a", pool = {backoff_max = 0.1}}', "backoff_initial (0.2) is larger than"),
        (
            'databases.a = {url = "postgresql://h/a", pool = {keepalive = 5.0}}',
            "databases.a (datalayer.toml:1): pool.keepalive = 5.0 is not possible with psycopg-pool: leave it out",
        ),
        ("databases.a.pool.max_size = 3", "databases.a.url"),
        ('databases."a b".url = "sqlite:///a"', "database alias"),
        ("migrations.x = 1", "migrations is a single value"),
        ('root = "/x"', "cannot be set"),
        ("databases.a = 1", "databases.a (datalayer.toml:1): must be a table"),
        ("migrations = 1", "must be a path, in quotes"),
        ('"" = 1', "datalayer.toml:1: unknown key"),
        ('databases.a.url = "mysql://h/x"', "databases.a.url (datalayer.toml:1): unknown database scheme 'mysql'"),
    ],
)
def test_a_wrong_value_is_refused(write: Write, line: str, reason: str) -> None:
    write(line)
    assert reason in str(problem())


def test_a_mistyped_alias_names_the_one_that_was_meant(write: Write) -> None:
    write(TOUR)
    assert "must be set; did you mean 'default'" in str(problem({"DATALAYER_DATABASES__DEFUALT__POOL__MAX_SIZE": "1"}))


def test_all_problems_are_told_at_once_one_line_each(write: Write) -> None:
    write('modles = 1\nallow_sync_in_async = "x"\n')
    lines = str(problem({"DATALAYER_NOPE": "1", "DATABASE_URL": "x://"})).splitlines()
    assert lines[0] == "4 problems in the settings"
    assert [line.split()[0].rstrip(":") for line in lines[1:]] == [
        "nope", "modles", "allow_sync_in_async", "databases.default.url",
    ]  # fmt: skip


def test_no_error_shows_the_password_of_a_bad_url() -> None:
    error = problem({"DATABASE_URL": "postgresql://u:s3cret/x@h:z/db"})
    assert "s3cret" not in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None


def test_the_settings_are_frozen(write: Write) -> None:
    write(TOUR)
    settings = load(environ={})
    with pytest.raises(ValueError, match="frozen"):
        settings.models = ()
    with pytest.raises(TypeError, match="frozen"):
        settings.databases["x"] = settings.databases["default"]


def test_a_missing_alias_names_the_choices(write: Write) -> None:
    write(TOUR)
    with pytest.raises(ConfigurationError, match="there are: default; did you mean 'default'"):
        load(environ={}).databases["defaut"]


# -- showing


def test_no_secret_is_shown(write: Write) -> None:
    write('[databases.default]\nurl = "postgresql://u:${PW}@h/db"\n')
    settings = load(environ={"PW": "s3cret"})
    assert "s3cret" not in f"{settings!r} {settings} {shown(settings)} {settings.model_dump_json()}"


def test_values_are_shown_as_text_with_their_origin(write: Write) -> None:
    write(TOUR)
    rows = shown(load(environ={}))
    assert ("models", "[shop.models]", "datalayer.toml:1") in rows
    assert ("allow_sync_in_async", "false", "default") in rows


# -- settings of the app

APP = """from datalayer.conf import Settings
from pydantic import BaseModel, SecretStr, field_validator, model_validator

class Mail(BaseModel):
    host: str = "localhost"
    port: int = 25
    password: SecretStr = SecretStr("")

class ShopSettings(Settings):
    page_size: int = 50
    api_key: str = ""
    servers: list[dict[str, str]] = []
    broker: str = "none"
    mail: Mail = Mail()

    @field_validator("api_key")
    @classmethod
    def no_bad_key(cls, value: str) -> str:
        if value.endswith("bad"):
            raise ValueError(f"{value} is not a key")
        return value

    @model_validator(mode="after")
    def has_pages(self) -> "ShopSettings":
        if not self.page_size:
            raise ValueError("pages need a size")
        return self
"""


@pytest.fixture
def app(write: Write, project: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module with settings of its own; its name differs per test, as imported modules stay."""
    name = f"shop_{abs(hash(str(project)))}"
    write(APP, f"{name}.py")
    monkeypatch.syspath_prepend(str(project))
    monkeypatch.setitem(sys.modules, name, None)  # so that the module is forgotten afterwards
    del sys.modules[name]
    write(f'settings = "{name}:ShopSettings"\npage_size = 20\n[mail]\nhost = "mx"\npassword = "s3cret"\n')
    return name


def test_an_app_reads_its_own_keys_from_the_same_file(app: str) -> None:
    settings = load(environ={"DATALAYER_MAIL__PORT": "587"})
    assert type(settings).__name__ == "ShopSettings"
    assert settings.model_dump(include={"page_size", "mail"})["mail"]["port"] == 587
    assert settings.origin("mail.port") == "DATALAYER_MAIL__PORT (environment)"


def test_a_variable_may_name_the_class(app: str, write: Write) -> None:
    write("page_size = 20\n")
    assert isinstance(load(environ={"DATALAYER_SETTINGS": f"{app}:ShopSettings"}), Settings)


def test_unknown_keys_in_a_plain_model_of_the_app_are_refused(app: str) -> None:
    assert "did you mean 'DATALAYER_MAIL__PORT'" in str(problem({"DATALAYER_MAIL__PROT": "1"}))


def test_secrets_of_the_app_are_shown_as_stars(app: str) -> None:
    environ = {
        "DATALAYER_API_KEY": "s3cret",
        "DATALAYER_BROKER": "redis://:s3cret@h/0",
        "DATALAYER_SERVERS": '[{"name": "a", "password": "s3cret"}]',
    }
    settings = load(environ=environ)
    rows = {key: text for key, text, _ in shown(settings)}
    assert "s3cret" not in str(rows)
    assert rows["broker"] == "redis://:***@h/0"
    assert rows["servers"] == "[{name = a, password = ***}]"


def test_printing_the_settings_of_the_app_hides_keys_that_sound_secret(app: str) -> None:
    assert "s3cret" not in repr(load(environ={"DATALAYER_API_KEY": "s3cret"}))


def test_a_validator_of_the_app_that_repeats_a_secret_is_silenced(app: str) -> None:
    text = str(problem({"DATALAYER_API_KEY": "s3cret-bad"}))
    assert text == "api_key (DATALAYER_API_KEY (environment)): *** is not a key"


def test_a_validator_of_the_whole_class_is_reported_without_a_key(app: str) -> None:
    assert str(problem({"DATALAYER_PAGE_SIZE": "0"})) == "pages need a size"


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("nowhere", "package.module:Class"),
        ("nowhere_at_all:Settings", "no module 'nowhere_at_all'"),
        ("APP:ShopSetings", "did you mean 'ShopSettings'"),
        ("APP:Mail", "no subclass"),
    ],
)
def test_a_wrong_class_path_is_refused(app: str, path: str, reason: str) -> None:
    assert reason in str(problem({"DATALAYER_SETTINGS": path.replace("APP", app)}))


@pytest.mark.parametrize("name", sorted(PoolSettings.model_fields))
def test_a_wrong_pool_value_names_file_and_key_and_what_is_allowed(write: Write, name: str) -> None:
    write(f'databases.a = {{url = "sqlite:///a", pool.{name} = [-1]}}')
    assert f"databases.a.pool.{name} (datalayer.toml:1): must be " in str(problem())


@pytest.mark.parametrize(
    "name", ["connection_timeout", "max_lifetime", "idle_timeout", "keepalive", "leak_threshold", "unavailable_after"]
)
def test_a_time_without_end_is_inf(write: Write, name: str) -> None:
    write(f'databases.a = {{url = "sqlite:///a", pool.{name} = inf}}')
    assert getattr(load(environ={}).databases["a"].pool, name) is None


def test_settings_allow_a_pool_for_which_nobody_waits_as_pools_do(write: Write) -> None:
    write('databases.a = {url = "sqlite:///a", pool.connection_timeout = 0}')
    assert load(environ={}).databases["a"].pool.connection_timeout == 0
    assert PoolConfig(connection_timeout=0).connection_timeout == 0


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("DATABASES__DEFAULT__POOL__MAX_SIZE", "must be a whole number"),
        ("DATABASES__DEFAULT__POOL__CONNECT_TIMEOUT", "must be a number"),
        ("ALLOW_SYNC_IN_ASYNC", "must be true or false"),
    ],
)
def test_a_variable_of_another_type_is_told_in_the_words_of_settings(write: Write, name: str, reason: str) -> None:
    write(TOUR)
    assert str(problem({f"DATALAYER_{name}": "few"})).endswith(f": {reason}")
