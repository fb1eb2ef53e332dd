"""The numbers of `run.py --json` as a page of the documentation: a table and a picture for each backend and model.

`python -m benchmarks.report NUMBERS.json docs`, which writes `docs/benchmarks.md` and `docs/images/`.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "datalayer"  # the same numbers make the same file
from matplotlib import pyplot  # noqa: E402 - only after the form of its output is chosen

from benchmarks.run import OPERATIONS, WHOLE  # noqa: E402

OURS = ("datalayer", "datalayer-async", "datalayer-async-10")
MODELS = {"1": "four columns", "2": "with relations", "3": "36 columns", "4": "movies read and written whole"}


def means(results: dict[str, Any]) -> dict[str, float]:
    """The geometric mean of each target over all operations."""
    names = next(iter(results.values()))["ratios"]
    return {name: statistics.geometric_mean([one["ratios"][name] for one in results.values()]) for name in names}


def table(results: dict[str, Any]) -> list[str]:
    """The lines of a table: a row for each operation, the best of each in bold."""
    names = list(next(iter(results.values()))["ratios"])
    lines = ["| operation | raw, µs | " + " | ".join(names) + " |", "|---|---" + "|---" * len(names) + "|"]
    every = [
        (f"{key} {(OPERATIONS | WHOLE)[key][0]}", f"{one['microseconds']:.2f}", one["ratios"])
        for key, one in results.items()
    ]
    for title, raw, ratios in [*every, ("**geometric mean**", "", means(results))]:
        best = max(ratios.values())
        cells = [f"**{value:.2f}**" if value == best else f"{value:.2f}" for value in ratios.values()]
        lines.append(f"| {title} | {raw} | " + " | ".join(cells) + " |")
    return lines


def picture(title: str, results: dict[str, Any], file: Path) -> None:
    """Bars for each operation, ours in one colour and the peers in greys."""
    names = list(next(iter(results.values()))["ratios"])
    figure, axes = pyplot.subplots(figsize=(11, 4.5))
    width = 0.85 / len(names)
    peers = [name for name in names if name not in OURS]
    for place, name in enumerate(names):
        if name in OURS:
            colour: Any = ("#0b6e4f", "#3aa17e", "#8fd3bb")[OURS.index(name)]
        else:
            colour = str(0.35 + 0.5 * peers.index(name) / max(len(peers) - 1, 1))
        heights = [one["ratios"][name] for one in results.values()]
        axes.bar([x + place * width for x in range(len(results))], heights, width, label=name, color=colour)
    axes.set_xticks([x + 0.42 for x in range(len(results))], list(results))
    axes.set_ylabel("speed, raw driver = 1")
    axes.axhline(1, color="black", linewidth=0.6)
    axes.set_title(title)
    axes.legend(fontsize=7, ncols=3)
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)


def main() -> None:
    numbers = json.loads(Path(sys.argv[1]).read_text())
    docs = Path(sys.argv[2])
    (docs / "images").mkdir(exist_ok=True)
    about = numbers.pop("about")
    lines = [
        "# Benchmarks",
        "",
        "datalayer, its peers and the raw drivers, doing the same to the same rows. A number is a ratio: 1.00 is as",
        "fast as the raw driver, which gives tuples and converts nothing; 0.50 takes twice as long. Losses are shown",
        "like the rest. How it is measured, and how to repeat it: `benchmarks/README.md`.",
        "",
        "> " + about,
        "",
    ]
    for key, results in numbers.items():
        backend, model = key.split()
        title = f"{'SQLite' if backend == 'sqlite' else 'PostgreSQL'}, {MODELS[model]}"
        image = f"images/benchmarks-{backend}-{model}.svg"
        picture(title, results, docs / image)
        lines += [f"## {title}", "", f"![{title}]({image})", "", *table(results), ""]
    (docs / "benchmarks.md").write_text("\n".join(lines))


if __name__ == "__main__":
    main()
