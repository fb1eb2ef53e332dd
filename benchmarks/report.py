"""The numbers in `results/` as a page of the documentation: tables, bars for each backend and model, and curves.

`python -m benchmarks.report` writes `docs/benchmarks.md`, `docs/images/benchmarks-*.svg` and the numbers of the README;
what is not there is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "datalayer"  # the same numbers make the same file
matplotlib.rcParams["svg.fonttype"] = "none"  # letters and not their outlines, which are many times as large
from matplotlib import pyplot  # noqa: E402 - only after the form of its output is chosen

from benchmarks.bends import CURVES, Words  # noqa: E402
from benchmarks.run import BEGIN, END, OPERATIONS, RESULTS, ROOT, WHOLE, means, targets  # noqa: E402

DOCS = ROOT / "docs"
OURS = ("datalayer", "datalayer-async", "datalayer-async-10")
COLOURS = {
    "datalayer": "#0b6e4f", "datalayer-async": "#3aa17e", "datalayer-async-10": "#8fd3bb", "raw": "#000000",
    "django": "#7a7a7a", "sqlalchemy": "#1f5fa8", "sqlalchemy-core": "#4fa3e0", "sqlmodel": "#a9cdec",
    "peewee": "#e08a00", "pony": "#7b4a21", "tortoise": "#7d3fa0", "tortoise-10": "#c9a3dd", "piccolo": "#c2334d",
    "piccolo-10": "#eda3b1", "psycopg_pool": "#000000", "asyncpg": "#b0a000",
}  # fmt: skip
"""Of each who takes part, in all pictures: they can be told apart, and are all read on white."""
LINES = {
    "streamed": "datalayer, streamed", "list": "datalayer, list", "memory": "datalayer, streamed",
    "list memory": "datalayer, list", "by column": "datalayer, by column", "by name": "datalayer, by name",
}  # fmt: skip
"""What lines of the curves are called, where it is not their name."""
DASHED = frozenset({"datalayer, list", "datalayer, by name"})
BACKENDS = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
MODELS = {"1": "four columns", "2": "with relations", "3": "36 columns", "4": "movies read and written whole"}


def taken(results: Iterable[dict[str, Any]]) -> list[str]:
    """The targets that have a number in some results, in the order of all targets."""
    found = {name for result in results for name in result}
    return [name for name in targets() if name in found]


def row(title: str, ratios: dict[str, float], names: list[str], *others: str) -> str:
    """A line of a table, the best number in bold; empty where a target has none."""
    best = max(ratios.values(), default=None)
    cells = ["" if (value := ratios.get(name)) is None else f"{value:.2f}" for name in names]
    cells = [f"**{cell}**" if ratios.get(name) == best else cell for name, cell in zip(names, cells, strict=True)]
    return f"| {' | '.join([title, *others, *cells])} |"


def table(results: dict[str, Any]) -> list[str]:
    """The lines of a table: a row for each operation."""
    names = taken(one["ratios"] for one in results.values())
    lines = [f"| operation | raw, µs | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    for key, one in results.items():
        title = f"{key} {(OPERATIONS | WHOLE)[key][0]}"
        lines.append(row(title, one["ratios"], names, f"{one['microseconds']:.2f}"))
    return [*lines, row("**geometric mean**", means(results), names, "")]


def overview(numbers: dict[str, dict[str, Any]]) -> list[str]:
    """The lines of a table: the geometric means of all backends and models."""
    every = {name: means(results) for name, results in numbers.items()}
    names = taken(every.values())
    lines = [f"| geometric mean | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    return [*lines, *[row(title_of(name), ratios, names) for name, ratios in every.items()]]


def in_order(results: dict[str, Any]) -> dict[str, Any]:
    """The operations as they stand below each other."""
    return {key: results[key] for key in OPERATIONS | WHOLE if key in results}


def title_of(name: str) -> str:
    """What a file of numbers is about."""
    backend, model = name.split("-")
    return f"{BACKENDS[backend]}, {MODELS[model]}"


def picture(title: str, results: dict[str, Any], file: Path) -> None:
    """Bars for each operation: ours green, each peer and what is made of it shades of one colour."""
    names = taken(one["ratios"] for one in results.values())
    figure, axes = pyplot.subplots(figsize=(11, 4.5))
    width = 0.85 / len(names)
    for place, name in enumerate(names):
        heights = [one["ratios"].get(name, 0) for one in results.values()]
        places = [x + place * width for x in range(len(results))]
        axes.bar(places, heights, width, label=name, color=COLOURS.get(name, "black"))
    axes.set_xticks([x + 0.42 for x in range(len(results))], list(results))
    axes.set_xlabel("operation")
    axes.set_ylabel("speed, raw driver = 1")
    axes.axhline(1, color="black", linewidth=0.6)
    axes.set_title(title)
    axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    save(figure, file)


def save(figure: Any, file: Path) -> None:
    """Writes a picture, the same bytes each time, on white wherever it is shown."""
    figure.tight_layout()
    figure.savefig(file, facecolor="white", metadata={"Date": None})
    pyplot.close(figure)


def is_beside(name: str) -> bool:
    """Whether a line has a picture of its own beside the first: it is about something else."""
    return name.endswith(("p99", "memory"))


def curve(points: dict[str, dict[str, float]], words: Words, file: Path) -> list[str]:
    """The lines of one curve: its pictures, the reason of its form, and the numbers."""
    points = {point: found for point, found in points.items() if found}
    names = list(dict.fromkeys(name for found in points.values() for name in found))
    if not names:
        return []
    drawn = [name for name in names if name not in words.only_told]
    beside = any(map(is_beside, drawn))
    figure, every = pyplot.subplots(1, 2 if beside else 1, figsize=(11 if beside else 6.5, 3.6), squeeze=False)
    for name in drawn:
        axes = every[0][int(is_beside(name))]
        label = LINES.get(name) or name.removesuffix(" throughput").removesuffix(" p99")
        shown = [(int(point), found[name]) for point, found in points.items() if name in found]
        colour = COLOURS.get(label.partition(",")[0])
        style = "--" if label in DASHED else "-"
        axes.plot(*zip(*shown, strict=True), style, marker="o", markersize=3, label=label, color=colour)
    for axes, unit, logarithmic in zip(every[0], words.units, words.logarithmic, strict=False):
        axes.set_xlabel(words.grows + (" (logarithmic)" if "x" in logarithmic else ""))
        axes.set_ylabel(unit + (" (logarithmic)" if "y" in logarithmic else ""))
        for letter in logarithmic:
            axes.set(**{f"{letter}scale": "log"})
            getattr(axes, f"{letter}axis").set_major_formatter(lambda value, _: told(value))
        if "x" in logarithmic:
            axes.set_xticks([int(point) for point in points], minor=False)
            axes.set_xticks([], minor=True)
        axes.tick_params(labelsize=8)
        if "y" not in logarithmic:
            axes.set_ylim(bottom=0)
        axes.grid(color="0.9", linewidth=0.6)
        axes.legend(fontsize=7)
    save(figure, file)
    lines = [f"### By {words.grows}", "", f"![{words.grows}](images/{file.name})", "", words.reason, ""]
    titles = [words.only_told.get(name) or LINES.get(name) or name for name in names]
    titles = [
        f"{title}, {words.units[1].split()[-1]}" if is_beside(name) else title
        for name, title in zip(names, titles, strict=True)
    ]
    lines += [f"| {words.grows} | {' | '.join(titles)} |", "|---" * (len(names) + 1) + "|"]
    for point, found in points.items():
        cells = [told(found[name]) if name in found else "" for name in names]
        lines.append(f"| {told(int(point))} | {' | '.join(cells)} |")
    return [*lines, ""]


def told(value: float) -> str:
    """A number in three digits, or all that are before the point, in groups."""
    return f"{value:,.0f}".replace(",", " ") if value >= 100 or value == int(value) else f"{value:.3g}"


def summary(numbers: dict[str, dict[str, Any]], starts: dict[str, Any], about: str) -> list[str]:
    """The lines for the README: ours and the best peer of each mean, and what a start costs."""
    lines = [
        "How fast it is beside the raw driver (1.00): the geometric mean of all operations, and the best peer's.",
        f"SQLAlchemy Core gives rows and no objects. Taken {about.partition(';')[0]}.",
        "",
        "| | datalayer | awaiting | ten tasks at a time | the best peer |",
        "|---|---|---|---|---|",
    ]
    for name, results in numbers.items():
        found = means(results)
        peer = max((other for other in found if other not in OURS), key=lambda other: found[other], default=None)
        cells = [f"{found[one]:.2f}" if one in found else "" for one in OURS]
        lines.append(f"| {title_of(name)} | {' | '.join(cells)} | {f'{peer} {found[peer]:.2f}' if peer else ''} |")
    lines += ["", "What a start costs, beyond the interpreter's own:", "", "| | ms | MB |", "|---|---|---|"]
    for name in ("import datalayer", "datalayer --help", "36 columns declared, connected"):
        if cost := starts.get(name):
            lines.append(f"| {name} | {cost['milliseconds']:.0f} | {cost['megabytes']:.0f} |")
    return lines


def main() -> None:
    images = DOCS / "images"
    images.mkdir(exist_ok=True)
    files = {file.stem: json.loads(file.read_text()) for file in sorted(RESULTS.glob("*.json"))}
    every = [f"{backend}-{model}" for backend in BACKENDS for model in MODELS]
    numbers = {name: in_order(files[name]["operations"]) for name in every if name in files}
    lines = [
        "# Benchmarks",
        "",
        "datalayer, its peers and the raw drivers, doing the same to the same rows. A number is a ratio: 1.00 is as",
        "fast as the raw driver, which gives tuples and converts nothing; 0.50 takes twice as long. The best of a line",
        "is bold; losses are shown like the rest. How it is measured, how each is written, and how to repeat it:",
        "`benchmarks/README.md`.",
        "",
        "Not all do the same: SQLAlchemy Core's rows are tuples and no instances, in every operation, and in I, J and",
        "K it sends many rows at once, since it has no objects to save. In L to O Piccolo gives rows too. Who awaits",
        "runs on uvloop. Where a mean is missing, the target failed in one of the operations.",
        "",
        *overview(numbers),
        "",
    ]
    for name, results in numbers.items():
        image = f"images/benchmarks-{name}.svg"
        picture(title_of(name), results, DOCS / image)
        lines += [f"## {title_of(name)}", "", f"![{title_of(name)}]({image})", "", *table(results), ""]
        lines += [f"Taken {files[name]['about']}.", ""]
    curves = files.get("curves", {})
    if curves:
        lines += ["## How cost grows", ""]
        for name, words in CURVES.items():
            lines += curve(curves.get(name, {}), words, images / f"benchmarks-by-{name}.svg")
    starts = files.get("startup", {})
    if starts:
        lines += [
            "## What a start costs",
            "",
            "The time of the processor and the most memory of a fresh process, less those of a bare interpreter.",
            "SQLAlchemy is imported with the first statement that has to be compiled, and is most of the first query;",
            "who only declares models and connects does without it.",
            "",
            "| start | ms | MB |",
            "|---|---|---|",
            *[f"| {name} | {cost['milliseconds']:.0f} | {cost['megabytes']:.1f} |" for name, cost in starts.items()],
            "",
        ]
    (DOCS / "benchmarks.md").write_text("\n".join(lines))
    if numbers:
        readme = ROOT / "README.md"
        before, _, rest = readme.read_text().partition(BEGIN)
        told = summary(numbers, starts, files[next(iter(numbers))]["about"])
        readme.write_text("\n".join([before + BEGIN, "", *told, "", END + rest.partition(END)[2]]))


if __name__ == "__main__":
    main()
