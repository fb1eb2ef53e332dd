"""What a start costs: the import, `datalayer --help`, and the time to a first query, beside the peers.

`python -m benchmarks.startup --json FILE`, from the root of the repository. The time of the processor and the memory of
fresh processes, less those of a bare interpreter; of several starts the least. The peers declare the model of 36
columns, connect to SQLite and make its table, each as in `targets/`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from benchmarks.targets import MODULES

ROOT = Path(__file__).resolve().parents[1]
FIRST_QUERY = """
from benchmarks.models import journal
from datalayer import configure
from datalayer.testing import create_tables
configure(databases={"default": "sqlite:///%s"})
model = journal(3)
create_tables()
assert model.objects.first() is None
"""
OWN = {
    "import datalayer": "import datalayer",
    "datalayer --help": "import sys; sys.argv = ['datalayer', '--help']; from datalayer.cli.app import main; main()",
    "first query of a model of 36 columns": FIRST_QUERY,
}
PEER = """
import asyncio
from benchmarks.targets import make
target = make("%s", "sqlite:///%s", 3)
if hasattr(target, "open"):
    asyncio.run(target.open())
import os
os._exit(0)  # threads of connections would keep some of them here for ever
"""
PATIENCE = 60.0  # seconds
NEITHER = ("raw", "datalayer-async")


def started(code: str) -> tuple[float, float] | None:
    """Milliseconds of the processor and megabytes of a fresh interpreter; None where it fails."""
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        late = threading.Timer(PATIENCE, process.kill)
        late.start()
        _, status, usage = os.wait4(process.pid, 0)
        late.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        return None
    return (usage.ru_utime + usage.ru_stime) * 1e3, usage.ru_maxrss / 1024


def least(code: str, times: int) -> tuple[float, float] | None:
    """The least of several starts, each on a new database where the code has room for one."""
    found: list[tuple[float, float]] = []
    for _ in range(times + 1):  # the first may compile what is imported
        with tempfile.TemporaryDirectory(prefix="datalayer-startup-") as folder:
            one = started(code.replace("sqlite:///%s", f"sqlite:///{folder}/startup.sqlite3"))
        if one is None:
            return None
        found.append(one)
    return min(time for time, _ in found), min(memory for _, memory in found)


def measured(times: int) -> dict[str, dict[str, float]]:
    """For each start its milliseconds and megabytes beyond a bare interpreter's."""
    bare = least("pass", times)
    assert bare is not None
    codes = {
        **OWN,
        **{f"36 columns, a table: {name}": PEER.replace("%s", name, 1) for name in MODULES if name not in NEITHER},
    }
    found: dict[str, dict[str, float]] = {}
    for name, code in codes.items():
        cost = least(code, times)
        if cost is None:
            print(f"{name} is left out: it fails", flush=True)
            continue
        found[name] = {"milliseconds": cost[0] - bare[0], "megabytes": cost[1] - bare[1]}
        print(f"{name:50} {cost[0] - bare[0]:8.0f} ms {cost[1] - bare[1]:8.1f} MB", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the numbers to this file as well")
    parser.add_argument("--times", type=int, default=5, help="starts of each")
    options = parser.parse_args()
    found = measured(options.times)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
