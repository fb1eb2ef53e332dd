"""What is shown while a command works, where there is no terminal."""

from __future__ import annotations

import pytest

from datalayer.cli import output


def test_a_statement_that_takes_long_is_a_line_after_ten_seconds_and_after_each_time_as_long(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with output.progress() as meanwhile:
        for second in range(1, 66):
            meanwhile.on_statement(
                "CREATE INDEX ix ON book (title)", second, "scanning table, 45 %" if second > 15 else ""
            )
        meanwhile.on_statement("", 0, "")
        meanwhile.on_statement("SELECT 1", 3, "")
    assert capsys.readouterr().err.splitlines() == [
        "0:10: CREATE INDEX ix ON book (title)",
        "0:20 scanning table, 45 %: CREATE INDEX ix ON book (title)",
        "0:40 scanning table, 45 %: CREATE INDEX ix ON book (title)",
    ]


def test_a_statement_that_is_longer_than_a_line_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    with output.progress() as meanwhile:
        meanwhile.on_statement("SELECT " + "1" * 500, 60, "")
    (line,) = capsys.readouterr().err.splitlines()
    assert len(line) == output.LONGEST_LINE
    assert line.endswith("111...")
