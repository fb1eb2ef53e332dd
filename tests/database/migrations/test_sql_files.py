"""Plain SQL migrations: as good as Python ones, with or without them, and as diesel left them."""

from __future__ import annotations

from pathlib import Path

import pytest

from datalayer import conf
from datalayer.errors import MigrationError
from datalayer.migrations import commands
from tests.database.migrations.files import diesel, pair, python, rows, run, table, tables


def test_pairs_go_there_and_back(migrations: Path) -> None:
    pair(
        migrations, "0001_thing", "CREATE TABLE thing (id INTEGER);\nINSERT INTO thing VALUES (1);", "DROP TABLE thing"
    )
    pair(migrations, "0002_other", "CREATE TABLE other (id INTEGER)", "DROP TABLE other;")
    assert commands.migrate().applied == ("0001_thing", "0002_other")
    assert rows("SELECT id FROM thing") == [(1,)]
    assert commands.migrate("0001").reverted == ("0002_other",)
    assert commands.migrate("zero").reverted == ("0001_thing",)
    assert tables() == []


def test_folders_of_diesel_run_as_they_are(migrations: Path) -> None:
    diesel(migrations, "20170505070309_create_users", "CREATE TABLE users (id INTEGER)", "DROP TABLE users")
    diesel(migrations, "2017-11-23-064836_create_posts", "CREATE TABLE posts (id INTEGER)", "DROP TABLE posts")
    diesel(migrations, "00000000000000_initial", "CREATE TABLE first (id INTEGER)", "DROP TABLE first")
    (migrations / "README.md").write_text("notes are no migrations")
    (migrations / "seed.sql").write_text("INSERT INTO users VALUES (1)")  # diesel looks at folders alone
    (migrations / ".keep").write_text("")
    (migrations / ".hidden").mkdir()
    (migrations / "empty").mkdir()
    names = ("00000000000000_initial", "20170505070309_create_users", "2017-11-23-064836_create_posts")
    assert commands.migrate().applied == names
    assert [str(one) for one in commands.showmigrations()] == [f"[x] {name}" for name in names]
    assert commands.revert(2).reverted == (names[2], names[1])
    assert tables() == ["first"]


def test_a_folder_of_diesel_may_be_called_anything(migrations: Path) -> None:
    names = ("2019", "2020_with space", "2021_ünï-code", "2022-01-01-000000-0001_counted", "abc_no_moment")
    for number, name in enumerate(names):
        diesel(migrations, name, f"\ufeffCREATE TABLE t{number} (id INTEGER);\r\n", f"DROP TABLE t{number}")
    assert commands.migrate().applied == names
    assert commands.revert(None).reverted == names[::-1]


def test_a_folder_without_up_is_named(migrations: Path) -> None:
    (migrations / "0001_thing").mkdir()
    (migrations / "0001_thing" / "down.sql").write_text("SELECT 1")
    with pytest.raises(MigrationError, match=r"'0001_thing' holds no up\.sql: down\.sql"):
        commands.migrate()


@pytest.mark.parametrize(
    ("metadata", "match"),
    [
        ("run_in_transaction = 3", "run_in_transaction that is no boolean"),
        ("run_in_transactoin = true", "unknown key 'run_in_transactoin'"),
        ("nonsense", "no valid TOML"),
    ],
)
def test_metadata_that_cannot_be_read_is_an_error(migrations: Path, metadata: str, match: str) -> None:
    diesel(migrations, "1_thing", "SELECT 1", metadata=metadata)
    with pytest.raises(MigrationError, match=match):
        commands.migrate()


def test_metadata_that_says_nothing_means_a_transaction(migrations: Path) -> None:
    diesel(migrations, "1_thing", "CREATE TABLE thing (id INTEGER); NONSENSE;", metadata="")
    with pytest.raises(MigrationError):
        commands.migrate()
    assert tables() == []


@pytest.mark.parametrize("up", ["", "  \n", "-- nothing yet\n", "/* nothing; */ ;"])
def test_an_empty_file_is_refused(migrations: Path, up: str) -> None:
    pair(migrations, "0001_thing", up)
    with pytest.raises(MigrationError, match=r"0001_thing\.up\.sql holds no statement"):
        commands.migrate()
    assert not commands.showmigrations()[0].is_applied


def test_a_failing_statement_is_named_with_its_line_and_leaves_nothing(migrations: Path) -> None:
    pair(migrations, "0001_thing", "CREATE TABLE thing (id INTEGER);\n\nINSERT INTO nowhere VALUES (1);")
    with pytest.raises(MigrationError, match=r"'0001_thing' cannot be applied .*line 3: .*nowhere.*nothing of it"):
        commands.migrate()
    assert tables() == []
    assert not commands.showmigrations()[0].is_applied


@pytest.mark.parametrize("word", ["BEGIN", "COMMIT", "rollback", "START TRANSACTION"])
def test_a_transaction_of_its_own_is_refused(migrations: Path, word: str) -> None:
    pair(migrations, "0001_thing", f"CREATE TABLE thing (id INTEGER);\n{word};")
    with pytest.raises(MigrationError, match=rf"line 2: {word.split()[0].upper()} would end the transaction"):
        commands.migrate()
    assert tables() == []


def test_without_a_file_for_it_there_is_no_way_back(migrations: Path) -> None:
    pair(migrations, "0001_thing", "CREATE TABLE thing (id INTEGER)")
    pair(migrations, "0002_other", "CREATE TABLE other (id INTEGER)", "-- nothing\n")
    assert [str(step) for step in commands.migrate(plan=True).pending] == [
        "apply 0001_thing (irreversible)",
        "apply 0002_other (irreversible)",
    ]
    commands.migrate()
    with pytest.raises(MigrationError, match="'0002_other' has no way back"):
        commands.revert()
    assert [shown.is_applied for shown in commands.showmigrations()] == [True, True]


def test_python_and_sql_mix_in_one_history(migrations: Path) -> None:
    python(migrations, "0001_thing", None, *table("thing"))
    pair(migrations, "0002_rows", "INSERT INTO thing VALUES (1)", "DELETE FROM thing")
    python(migrations, "0003_other", "0002_rows", *table("other"))
    pair(migrations, "0004_last", "INSERT INTO other VALUES (2)", "DELETE FROM other")
    assert commands.migrate().applied == ("0001_thing", "0002_rows", "0003_other", "0004_last")
    assert rows("SELECT * FROM other") == [(2,)]
    assert commands.makemigrations("next", empty=True).text.count('down_revision = "0004_last"') == 1
    assert commands.migrate("2", plan=True).pending[0].name == "0004_last"
    assert commands.migrate("zero").reverted == ("0004_last", "0003_other", "0002_rows", "0001_thing")
    assert tables() == []


def test_sql_between_python_files_that_do_not_name_it_keeps_its_place(migrations: Path) -> None:
    python(migrations, "0001_thing", None, *table("thing"))
    pair(migrations, "0002_rows", "INSERT INTO thing VALUES (1)", "DELETE FROM thing")
    python(migrations, "0003_other", "0001_thing", *table("other"))
    assert commands.migrate().applied == ("0001_thing", "0002_rows", "0003_other")


def test_a_file_that_came_late_is_applied_only_on_request(migrations: Path) -> None:
    pair(migrations, "0001_first", "CREATE TABLE first (id INTEGER)", "DROP TABLE first")
    pair(migrations, "0003_third", "CREATE TABLE third (id INTEGER)", "DROP TABLE third")
    commands.migrate()
    pair(migrations, "0002_second", "CREATE TABLE second (id INTEGER)", "DROP TABLE second")
    assert [str(one) for one in commands.showmigrations()] == [
        "[x] 0001_first",
        "[ ] 0002_second  (out of order)",
        "[x] 0003_third",
    ]
    assert commands.migrate(check=True).exit_code == 1
    for act in (commands.migrate, lambda: commands.migrate(plan=True)):
        with pytest.raises(MigrationError, match=r"0002_second came in before 0003_third.*--out-of-order"):
            act()
    assert tables() == ["first", "third"]
    assert commands.migrate(out_of_order=True).applied == ("0002_second",)
    assert commands.migrate().applied == ()
    assert commands.revert(2).reverted == ("0003_third", "0002_second")


def test_two_files_of_the_same_version_are_refused(migrations: Path) -> None:
    pair(migrations, "0001_left", "SELECT 1")
    pair(migrations, "0001_right", "SELECT 1")
    with pytest.raises(MigrationError, match=r"have the version 0001.*0001_left.*0001_right"):
        commands.migrate()


def test_a_version_may_begin_like_another(migrations: Path) -> None:
    pair(migrations, "123_short", "CREATE TABLE short (id INTEGER)", "DROP TABLE short")
    pair(migrations, "12345_long", "CREATE TABLE long (id INTEGER)", "DROP TABLE long")
    assert commands.migrate("123").applied == ("123_short",)


@pytest.mark.parametrize(("name", "match"), [("0001_a.sql", r"call it 0001_a\.up\.sql"), ("0001_a.down.sql", "has no")])
def test_a_file_that_leads_nowhere_is_named(migrations: Path, name: str, match: str) -> None:
    (migrations / name).write_text("SELECT 1")
    with pytest.raises(MigrationError, match=match):
        commands.migrate()


def test_an_edited_file_is_told_and_taken_on_request(migrations: Path) -> None:
    pair(migrations, "0001_thing", "CREATE TABLE thing (id INTEGER);\n", "DROP TABLE thing")
    commands.migrate()
    pair(
        migrations, "0001_thing", "-- a comment changes nothing\n\nCREATE TABLE thing (id INTEGER);", "DROP TABLE thing"
    )
    assert commands.showmigrations()[0].note == ""
    pair(migrations, "0001_thing", "CREATE TABLE thing (id BIGINT);", "DROP TABLE thing")
    assert commands.showmigrations()[0].note == "edited since"
    assert "0001_thing was edited" in commands.migrate().notes[0]
    assert any(finding.code == "edited" for finding in commands.check())
    commands.migrate(fake=True)
    assert commands.showmigrations()[0].note == ""


def test_a_file_that_was_only_renamed_is_known_again(migrations: Path) -> None:
    pair(migrations, "0001_thing", "CREATE TABLE thing (id INTEGER)", "DROP TABLE thing")
    commands.migrate()
    for end in ("up", "down"):
        (migrations / f"0001_thing.{end}.sql").rename(migrations / f"0002_thing.{end}.sql")
    assert commands.migrate().applied == ()
    assert commands.revert().reverted == ("0002_thing",)


def test_what_a_migration_sets_ends_with_it(postgresql_url: str, tmp_path: Path) -> None:
    search_path = "SELECT pg_catalog.set_config('search_path', '', false)"  # as every dump begins
    pair(tmp_path, "0001_dump", f"{search_path}; CREATE TABLE public.a (id INT)")
    pair(tmp_path, "0002_more", "CREATE TABLE b (id INT); SET search_path = pg_catalog;")
    with conf.override(databases={"default": {"url": postgresql_url}}, migrations=str(tmp_path)):
        assert commands.migrate().applied == ("0001_dump", "0002_more")
        assert [one.is_applied for one in commands.showmigrations()] == [True, True]


def test_percent_signs_colons_and_dollars_are_text(migrations: Path) -> None:
    up = "CREATE TABLE thing (name TEXT); INSERT INTO thing VALUES ('100%s :x $1 %(y)s ? it''s;')"
    pair(migrations, "0001_thing", up, "DROP TABLE thing")
    commands.migrate()
    assert rows("SELECT name FROM thing") == [("100%s :x $1 %(y)s ? it's;",)]


def test_indexes_and_triggers_of_sql_survive_a_change_of_the_table(migrations: Path, backend: str) -> None:
    python(migrations, "0001_thing", None, *table("thing"))
    pair(migrations, "0002_fast", "CREATE INDEX by_hand ON thing (id)", "DROP INDEX by_hand")
    python(
        migrations,
        "0003_more",
        "0002_fast",
        '    op.add_column("thing", sa.Column("name", types.Text(), server_default="x", nullable=False))\n'
        '    op.create_check_constraint("ck_thing", "thing", types.sql("\\"name\\" <> \'\'"))',
    )
    commands.migrate()
    catalog = "sqlite_master WHERE type = 'index' AND name" if backend == "sqlite" else "pg_indexes WHERE indexname"
    assert rows(f"SELECT count(*) FROM {catalog} = 'by_hand'") == [(1,)]


def test_redo_is_all_or_nothing(migrations: Path) -> None:
    pair(migrations, "0001_thing", "CREATE TABLE thing (id INTEGER)", "DROP TABLE thing")
    pair(migrations, "0002_other", "CREATE TABLE other (id INTEGER)", "DROP TABLE other")
    commands.migrate()
    done = commands.redo(2)
    assert (done.reverted, done.applied) == (("0002_other", "0001_thing"), ("0001_thing", "0002_other"))
    pair(migrations, "0002_other", "NONSENSE", "DROP TABLE other")
    run("INSERT INTO other VALUES (7)")
    with pytest.raises(MigrationError, match="'0002_other' cannot be applied"):
        commands.redo()
    assert rows("SELECT id FROM other") == [(7,)]
    assert [one.is_applied for one in commands.showmigrations()] == [True, True]


def test_reverting_counts_what_is_there(migrations: Path) -> None:
    for number in (1, 2, 3):
        pair(migrations, f"{number}_t{number}", f"CREATE TABLE t{number} (id INTEGER)", f"DROP TABLE t{number}")
    commands.migrate()
    assert commands.revert(0).reverted == ()
    assert commands.revert(plan=True).pending[0].name == "3_t3"
    assert commands.revert().reverted == ("3_t3",)
    assert commands.revert(9).reverted == ("2_t2", "1_t1")
    commands.migrate()
    assert len(commands.revert(None).reverted) == 3


NO_TRANSACTION = "-- datalayer: atomic = false\n"


def test_one_without_a_transaction_goes_on_where_it_stopped(migrations: Path) -> None:
    up = f"{NO_TRANSACTION}CREATE TABLE thing (id INTEGER);\nINSERT INTO thing VALUES (1);\n"
    pair(migrations, "0001_thing", f"{up}NONSENSE;\n", "DROP TABLE thing")
    with pytest.raises(MigrationError, match=r"line 4: .*the next run goes on from there"):
        commands.migrate()
    assert rows("SELECT id FROM thing") == [(1,)]
    assert str(commands.showmigrations()[0]) == "[ ] 0001_thing  (stopped after 2 operations)"
    pair(migrations, "0001_thing", f"{up}INSERT INTO thing VALUES (2);\n", "DROP TABLE thing")
    assert commands.migrate().applied == ("0001_thing",)
    assert rows("SELECT id FROM thing ORDER BY id") == [(1,), (2,)]
    assert str(commands.showmigrations()[0]) == "[x] 0001_thing"


def test_one_that_stopped_half_way_is_finished_before_anything_else(migrations: Path) -> None:
    pair(migrations, "0001_thing", "CREATE TABLE thing (id INTEGER)", "DROP TABLE thing")
    pair(migrations, "0002_rows", f"{NO_TRANSACTION}INSERT INTO thing VALUES (1); NONSENSE", "SELECT 1; NONSENSE")
    with pytest.raises(MigrationError):
        commands.migrate()
    for turn in (commands.revert, lambda: commands.migrate("0001"), commands.redo):
        with pytest.raises(MigrationError, match=r"stopped after 1 operations .*; datalayer migrate 0002_rows goes on"):
            turn()
    pair(migrations, "0002_rows", f"{NO_TRANSACTION}INSERT INTO thing VALUES (1)", "SELECT 1; NONSENSE")
    commands.migrate()
    with pytest.raises(MigrationError):
        commands.revert()
    with pytest.raises(MigrationError, match=r"stopped on the way back after 1 operations .*; datalayer revert goes"):
        commands.migrate()
    told: list[str] = []
    assert commands.migrate("0001", fake=True, on_progress=lambda step: told.append(step.done)).reverted == (
        "0002_rows",
    )
    assert told == ["recorded 0002_rows as taken back, without running it"]


def test_one_without_a_transaction_that_lost_what_was_done_is_refused(migrations: Path) -> None:
    pair(migrations, "0001_thing", f"{NO_TRANSACTION}CREATE TABLE a (id INT); CREATE TABLE b (id INT); NONSENSE;")
    with pytest.raises(MigrationError):
        commands.migrate()
    pair(migrations, "0001_thing", f"{NO_TRANSACTION}CREATE TABLE a (id INT);")
    with pytest.raises(MigrationError, match="2 operations of '0001_thing' were done"):
        commands.migrate()


def test_what_cannot_run_in_a_transaction_says_so(migrations: Path, backend: str) -> None:
    up = "VACUUM"
    pair(migrations, "0001_thing", up, "SELECT 1")
    with pytest.raises(MigrationError, match="-- datalayer: atomic = false"):
        commands.migrate()
    pair(migrations, "0001_thing", NO_TRANSACTION + up, NO_TRANSACTION + up)
    assert commands.migrate().applied == ("0001_thing",)
    assert commands.revert().reverted == ("0001_thing",)


def test_metadata_turns_the_transaction_off(migrations: Path) -> None:
    diesel(migrations, "1_vacuum", "VACUUM", "VACUUM", "run_in_transaction = false")
    assert commands.migrate().applied == ("1_vacuum",)


def test_a_directive_that_is_mistyped_is_an_error(migrations: Path) -> None:
    pair(migrations, "0001_thing", "-- datalayer: atomik = false\nSELECT 1")
    with pytest.raises(MigrationError, match="did you mean 'atomic'"):
        commands.migrate()


def test_a_new_pair_is_written_like_those_before(migrations: Path) -> None:
    made = commands.makesql("add_fts")
    assert (made.name, made.path) == ("0001_add_fts", migrations / "0001_add_fts.up.sql")
    assert (migrations / "0001_add_fts.down.sql").is_file()
    with pytest.raises(MigrationError, match="holds no statement"):
        commands.migrate()
    (migrations / "0001_add_fts.up.sql").unlink()
    (migrations / "0001_add_fts.down.sql").unlink()
    diesel(migrations, "2017-11-23-064836_create_posts", "SELECT 1", "SELECT 1")
    path = commands.makesql("more", has_down=False).path
    assert path is not None
    assert path.name == "up.sql"
    assert path.parent.name.endswith("_more")
    assert not (path.parent / "down.sql").exists()
    assert path.parent.name > "2017-11-23-064836_create_posts"


@pytest.mark.parametrize("is_folder", [False, True])
def test_new_files_are_shown_with_the_folder_of_the_migrations(migrations: Path, *, is_folder: bool) -> None:
    if is_folder:
        (migrations / "0001_thing").mkdir()
        (migrations / "0001_thing" / "up.sql").write_text("CREATE TABLE thing (id INTEGER)")
    sign = "/" if is_folder else "."
    files = [f"{migrations.name}/{'0002' if is_folder else '0001'}_more{sign}{end}.sql" for end in ("up", "down")]
    assert [line.strip() for line in commands.makesql("more").lines] == files


@pytest.mark.parametrize("version", ["1", "0007", "20170505070309"])
def test_a_new_file_sorts_after_those_before(migrations: Path, version: str) -> None:
    pair(migrations, f"{version}_thing", "CREATE TABLE thing (id INTEGER)", "DROP TABLE thing")
    commands.migrate()
    made = commands.makesql("more")
    assert made.path is not None
    made.path.write_text("CREATE TABLE more (id INTEGER)")
    assert commands.migrate().applied == (made.name,)


def test_versions_that_no_number_sorts_after_are_told(migrations: Path) -> None:
    pair(migrations, "9_thing", "SELECT 1")
    with pytest.raises(MigrationError, match="no number sorts after '9'"):
        commands.makesql("more")


def test_a_number_may_be_given(migrations: Path) -> None:
    pair(migrations, "0001_books", "CREATE TABLE book (id INTEGER);")
    assert commands.makesql("more", number="0007").paths == [
        migrations / "0007_more.up.sql",
        migrations / "0007_more.down.sql",
    ]


def test_a_number_with_which_another_begins_is_free(migrations: Path) -> None:
    pair(migrations, "12345_books", "CREATE TABLE book (id INTEGER);")
    made = commands.makesql("more", number="123")
    assert made.path is not None
    made.path.write_text("CREATE TABLE more (id INTEGER)")
    assert commands.migrate().applied == ("123_more", "12345_books")


@pytest.mark.parametrize(("number", "said"), [("0001", "'0001_books' has the number"), ("../7", "is no number")])
def test_a_number_that_is_taken_or_none_is_refused(migrations: Path, number: str, said: str) -> None:
    pair(migrations, "0001_books", "CREATE TABLE book (id INTEGER);")
    with pytest.raises(MigrationError, match=said):
        commands.makesql("more", number=number)
    assert len(list(migrations.iterdir())) == 1


def test_a_role_and_settings_of_the_url_are_those_of_every_migration(postgresql_url: str, tmp_path: Path) -> None:
    url = f"{postgresql_url}{'&' if '?' in postgresql_url else '?'}"
    url += "options=-crole%3Dpg_read_all_data%20-cdefault_transaction_isolation%3Dserializable"
    role, level = "current_user = 'pg_read_all_data'", "current_setting('transaction_isolation') = 'serializable'"
    for number in (1, 2):
        pair(tmp_path, f"{number:04}_ask", f"SELECT 1 / ({role} AND {level})::int")
    with conf.override(databases={"default": {"url": postgresql_url}}, migrations=str(tmp_path)):
        run("GRANT CREATE ON SCHEMA public TO pg_read_all_data")
    with conf.override(databases={"default": {"url": url}}, migrations=str(tmp_path)):
        assert commands.migrate().applied == ("0001_ask", "0002_ask")
