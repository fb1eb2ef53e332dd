from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from datalayer import conf
from datalayer.cli import app, shell
from datalayer.conf import DatabaseUrl
from datalayer.errors import DatalayerError


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name in ("DATABASE_URL", "DATALAYER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    conf.reset()
    yield tmp_path
    conf.reset()


def test_settings_shows_values_and_origins_and_no_password(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "datalayer.toml").write_text('[databases.default]\nurl = "postgresql://me:s3cret@db/shop"\n')
    assert app.main(["settings"]) == 0
    shown = capsys.readouterr()
    assert "databases.default.url\tpostgresql://me:***@db/shop\tdatalayer.toml:2\n" in shown.out
    assert "s3cret" not in shown.out + shown.err


def test_settings_of_an_app_class_in_the_project(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "own_settings_a.py").write_text(
        "from datalayer.conf import Settings\nclass Own(Settings):\n    colour: str = 'red'\n"
    )
    (project / "datalayer.toml").write_text('settings = "own_settings_a:Own"\n')
    assert app.main(["settings"]) == 0
    assert "colour\tred\tdefault" in capsys.readouterr().out


def test_mistyped_setting_is_one_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "datalayer.toml").write_text('modles = ["shop"]\n')
    assert app.main(["settings"]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("error: ")
    assert shown.count("\n") == 1
    assert "models" in shown


@pytest.mark.parametrize("command", ["settings", "migrate", "makemigrations", "showmigrations", "check", "shell"])
def test_command_outside_a_project_says_so(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main([command]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("error: ")
    assert "datalayer.toml" in shown


def test_psql_gets_the_password_in_its_environment_only() -> None:
    words, variables = shell.client(
        DatabaseUrl.parse(
            "postgresql://me:s3cret@db:5433/shop"
            "?sslmode=require&target_session_attrs=read-write&application_name=me&connect_timeout=3"
        )
    )
    assert words == ["psql"]
    assert variables == {
        "PGHOST": "db",
        "PGPORT": "5433",
        "PGUSER": "me",
        "PGDATABASE": "shop",
        "PGPASSWORD": "s3cret",
        "PGSSLMODE": "require",
        "PGTARGETSESSIONATTRS": "read-write",
        "PGAPPNAME": "me",
        "PGCONNECT_TIMEOUT": "3",
    }


def test_sqlite_client_gets_the_file(tmp_path: Path) -> None:
    url = DatabaseUrl.parse("sqlite:///db.sqlite3", root=tmp_path)
    assert shell.client(url) == (["sqlite3", str(tmp_path / "db.sqlite3")], {})


def test_memory_has_no_client() -> None:
    with pytest.raises(DatalayerError, match="in memory"):
        shell.client(DatabaseUrl.parse("sqlite:///:memory:"))


def test_dbshell_of_an_unknown_alias_names_the_others(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "datalayer.toml").write_text('[databases.default]\nurl = "sqlite:///a.sqlite3"\n')
    assert app.main(["dbshell", "--database", "defualt"]) == 1
    assert "did you mean 'default'?" in capsys.readouterr().err


def test_dbshell_without_the_client_program(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "datalayer.toml").write_text('[databases.default]\nurl = "sqlite:///a.sqlite3"\n')
    monkeypatch.setenv("PATH", str(project))
    assert app.main(["dbshell"]) == 1
    assert "'sqlite3'" in capsys.readouterr().err


def test_a_shell_does_not_pass_over_the_alias_that_somebody_has_chosen(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["shell", "--database", "reports", "-c", "print('ran')"]) == 2
    shown = capsys.readouterr()
    assert "ran" not in shown.out
    assert "a shell has all databases of the settings: Model.objects.using('reports')" in shown.err
