"""What a start costs: the import, `datalayer --help`, and the time to a first query, beside the peers.

`python -m benchmarks.startup`, from the root of the repository; with `--keep` the numbers go to `results/startup.json`.
The time of the processor and the most memory of fresh processes, less those of a bare interpreter; of several starts
the least. The peers declare the model of 36 columns, connect to SQLite and make its table, each as in `targets/`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading

from benchmarks.run import RESULTS, ROOT
from benchmarks.targets import MODULES

FIRST_QUERY = """
from benchmarks.models import journal
from datalayer import configure
from datalayer.testing import create_tables
configure(databases={"default": "sqlite:///%s"})
model = journal(3)
create_tables()
assert model.objects.first() is None
"""
DECLARED = """
from benchmarks.models import journal
from datalayer import configure, pools
configure(databases={"default": "sqlite:///%s"})
journal(3)
with pools["default"].connection() as connection:
    connection.execute("select 1").fetchone()
"""
MODEL = "from datalayer import Field, Mapped, Model\nclass One(Model):\n    text: Mapped[str] = Field()"
OWN = {
    "import datalayer": "import datalayer",
    "import pydantic, one model": "from pydantic import BaseModel\nclass One(BaseModel):\n    text: str",
    "import datalayer, one model": MODEL,
    "36 columns declared, connected": DECLARED,
    "datalayer --help": "import sys; sys.argv = ['datalayer', '--help']; from datalayer.cli.app import main; main()",
    "36 columns, a table, a first query": FIRST_QUERY,
}
PEER = """
import asyncio
from benchmarks.targets import make
target = make("%s", "sqlite:///%s", 3)
if hasattr(target, "open"):
    asyncio.run(target.open())
import os
tell()
os._exit(0)  # threads of connections would keep some of them here for ever
"""
PATIENCE = 60.0  # seconds
NEITHER = ("raw", "datalayer-async")


TELL = """
def tell():  # the most memory this process had; what the system counts for it begins with its parent's
    with open("/proc/self/status") as lines:
        print("\\n" + next(line.split()[1] for line in lines if line.startswith("VmHWM")), flush=True)
import atexit
atexit.register(tell)
"""


def started(code: str) -> tuple[float, float] | None:
    """Milliseconds of the processor and megabytes of a fresh interpreter; None where it fails."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with subprocess.Popen(
        [sys.executable, "-c", TELL + code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    ) as process:
        late = threading.Timer(PATIENCE, process.kill)
        late.start()
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        late.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        return None
    return (usage.ru_utime + usage.ru_stime) * 1e3, float(said.split()[-1]) / 1024


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
    parser.add_argument("--keep", action="store_true", help="put the numbers into results/startup.json")
    parser.add_argument("--times", type=int, default=5, help="starts of each")
    options = parser.parse_args()
    found = measured(options.times)
    if options.keep:
        rounded = {name: {unit: round(value, 1) for unit, value in cost.items()} for name, cost in found.items()}
        (RESULTS / "startup.json").write_text(json.dumps(rounded, indent=1) + "\n")


if __name__ == "__main__":
    main()
