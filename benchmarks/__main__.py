"""Everything there is to measure, and the page of it: `python -m benchmarks`, from the root of the repository.

`--quick` and `--middle` measure less of it, as `run.py` has it. With either each start and each point of the curves is
measured once, and with `--quick` every third point.
"""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.run import ROOT


def main() -> None:
    given = sys.argv[1:]
    is_short = bool({"--quick", "--middle"}.intersection(given))
    curves = ["--quick"] if "--quick" in given else ["--times", "1"] if is_short else []
    steps = (
        ["benchmarks.run", "--keep", *given],
        ["benchmarks.startup", "--keep", *(["--times", "1"] if is_short else [])],
        ["benchmarks.curves", "--keep", *curves],
        ["benchmarks.report"],  # of what is kept, whatever became of the steps before
    )
    failed: list[str] = []
    for module, *options in steps[:1] if "--help" in given else steps:
        began = time.monotonic()
        if subprocess.call([sys.executable, "-m", module, *options], cwd=ROOT):
            failed.append(module)
        print(f"-- {module}: {time.monotonic() - began:.0f} s", flush=True)
    if failed:
        sys.exit(f"error: {', '.join(failed)} failed; what was measured before is on the page")


if __name__ == "__main__":
    main()
