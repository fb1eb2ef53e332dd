"""What can be told of the measurements without measuring."""

from __future__ import annotations

import pytest

from benchmarks.bends import CURVES
from benchmarks.concurrent import ASYNC, AT_A_TIME, BLOCKING, CONCURRENT
from benchmarks.counts import Counts, compared
from benchmarks.curves import POINTS
from benchmarks.run import APART, BEGIN, END, MODES, OPERATIONS, ROOT, WHOLE


@pytest.mark.parametrize("curve", CONCURRENT)
def test_whoever_takes_part_in_a_curve_can_be_asked(curve: str) -> None:
    assert set(CONCURRENT[curve]) <= (BLOCKING if curve == "threads" else ASYNC).keys()
    assert AT_A_TIME[curve] == tuple(sorted(AT_A_TIME[curve]))


def test_every_letter_means_one_operation() -> None:
    assert not OPERATIONS.keys() & WHOLE.keys()
    assert OPERATIONS.keys() >= APART


def test_a_whole_run_measures_every_model() -> None:
    assert MODES["middle"].models == MODES["full"].models == (1, 2, 3, 4)


def test_what_is_done_in_bulk_stands_below_what_is_done_one_by_one() -> None:
    letters = "".join(OPERATIONS)
    assert all(pair in letters for pair in ("IR", "JP", "KQ"))
    assert {letter for letter, (title, _) in OPERATIONS.items() if title.endswith(", in bulk")} == APART


def test_the_readme_has_one_place_for_the_numbers() -> None:
    text = (ROOT / "README.md").read_text()
    assert [text.count(BEGIN), text.count(END)] == [1, 1]
    assert text.index(BEGIN) < text.index(END)


def test_every_curve_has_the_reason_of_its_form() -> None:
    assert CURVES.keys() == {*POINTS, *CONCURRENT}
    assert all(words.reason.endswith(".") for words in CURVES.values())


def test_every_picture_of_a_curve_has_a_unit_and_scales() -> None:
    assert all(len(words.units) == len(words.logarithmic) for words in CURVES.values())


KNOWN: Counts = {"sqlite: fetch a row of 1000": {"calls": 3.0, "lines": 8.0, "blocks": 5.75}}


@pytest.mark.parametrize(
    ("calls", "lines", "blocks", "told"),
    [
        (3.4, 8.1, 5.8, None),
        (4.0, 8.0, 5.75, "4.0 calls instead of 3.0"),
        (3.0, 9.0, 5.75, "9.0 lines instead of 8.0"),
        (3.0, 8.0, 6.75, "6.75 blocks of memory instead of 5.75"),
    ],
)
def test_a_path_is_worse_by_one_call_or_block_or_by_its_lines(
    calls: float, lines: float, blocks: float, told: str | None
) -> None:
    found: Counts = {"sqlite: fetch a row of 1000": {"calls": calls, "lines": lines, "blocks": blocks}}
    assert compared(KNOWN, found) == ([] if told is None else [f"sqlite: fetch a row of 1000: {told}"])


def test_a_path_that_was_counted_without_its_memory_is_compared_without_it() -> None:
    known: Counts = {"sqlite: fetch a row of 1000": {"calls": 3.0, "lines": 8.0}}
    assert compared(known, KNOWN) == []
