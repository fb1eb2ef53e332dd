"""Prints the conformance matrix: `python -m tests.database.pooling.matrix`, in the root of the project.

Each line is one behaviour; `ok` where it holds, `FAILED` where not, `excused` where a pool cannot do it and refuses in
words, and `left out` where there is no such thing: a null pool keeps nothing, and a SQLite file has one writer. The
excuses and their reasons follow.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict

from tests.database.pooling import conftest
from tests.database.pooling.test_conformance import EXCUSED, LEFT_OUT

KINDS = (*conftest.KINDS, *conftest.MORE_KINDS)

WORLDS = ("blocking", "awaiting")
LINE = re.compile(
    r"^(?P<outcome>PASSED|FAILED|ERROR) \S+::test_(?P<name>\w+)\[(?P<case>.+?)\](?: - .*)?$", re.MULTILINE
)
TESTS_OF_EXCUSES = {
    "pause_lets_callers_queue": ("pause", "resume"),
    "added_connection_is_lent_and_a_full_pool_hands_it_back": ("add",),
    "detached_connection_is_the_callers": ("detach",),
    "option_is_honoured_or_refused": ("queue_strategy", "keepalive", "max_opening", "fail_fast", "queue_target"),
}


def outcomes() -> str:
    """What pytest says about every case."""
    page = "tests/database/pooling/test_conformance.py"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-rA", "--no-header", "--tb=no", page],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.stdout


def main() -> int:
    """Prints the matrix; 1 when something failed."""
    found: dict[str, dict[tuple[str, str], str]] = defaultdict(dict)
    is_good = True
    for match in LINE.finditer(outcomes()):
        case = match["case"]
        kind = next(one for one in KINDS if one in case)
        world = next(one for one in WORLDS if one in case)
        option = re.sub("|".join((*KINDS, *WORLDS)), "", case).strip("-")
        name = match["name"].replace("_", " ")
        excuse = TESTS_OF_EXCUSES.get(match["name"], ())
        outcome = "ok" if match["outcome"] == "PASSED" else "FAILED"
        if outcome == "ok" and set(excuse) & set(EXCUSED.get(kind, ())):
            outcome = "excused"
        is_good = is_good and outcome != "FAILED"
        found[f"{name} ({option})" if option else name][kind, world] = outcome
    columns = [(kind, world) for kind in KINDS for world in WORLDS]
    print(" | ".join(["behaviour", *(f"{kind} {world}" for kind, world in columns)]))
    for name in sorted(found):
        left_out = {kind for kind, names in LEFT_OUT.items() if name.replace(" ", "_") in names}
        cells = ("left out" if kind in left_out else found[name].get((kind, world), "") for kind, world in columns)
        print(" | ".join([name, *cells]))
    print(f"\n{len(found)} behaviours")
    for kind, excuses in EXCUSED.items():
        print(f"excused for {kind}:")
        for name, reason in excuses.items():
            print(f"  {name}: {reason}")
    return 0 if found and is_good else 1


if __name__ == "__main__":
    sys.exit(main())
