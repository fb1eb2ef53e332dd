"""`diagram`: a picture of the models, as Mermaid's text or drawn by Graphviz."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

import typer

from datalayer.cli import output
from datalayer.cli.here import enter_models
from datalayer.cli.options import MODELS
from datalayer.extras import optional

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping


def diagram(
    models: list[str] = MODELS,
    svg: bool = typer.Option(False, "--svg", help="A drawn picture; needs pip install 'datalayer[diagram]'."),
) -> int:
    """Print a picture of the models: Mermaid text or SVG.

    Their columns, keys and relations. GitHub, GitLab and most editors draw Mermaid; browsers draw SVG.

    \b
    Examples:
      datalayer diagram > models.mmd
      datalayer diagram Product Order
      datalayer diagram --svg > models.svg
    """
    enter_models()
    from datalayer._schema import diagram, dot
    from datalayer.data.order import chosen

    tables = chosen(models or ())
    text = drawn(dot.dot(tables), dot.DARK) if svg else diagram.mermaid(tables)
    output.say(text.rstrip("\n"))
    return 0


def drawn(dot: str, dark: Mapping[str, str]) -> str:
    """The SVG that Graphviz makes of its text.

    Args:
        dot: The text.
        dark: What each of its colours is where the reader's screen is dark.

    Raises:
        MissingExtra: Graphviz is not installed.
    """
    pygraphviz = optional(
        "pygraphviz", "a drawn picture needs Graphviz", "'datalayer[diagram]'", "without --svg it is Mermaid's text"
    )
    with silence():
        picture: bytes = pygraphviz.AGraph(string=dot).draw(format="svg", prog="dot")
    rules = "".join(f'[fill="{light}"]{{fill:{to}}}[stroke="{light}"]{{stroke:{to}}}' for light, to in dark.items())
    before, group, after = picture.decode().partition("<g ")
    return f"{before}<style>@media (prefers-color-scheme:dark){{{rules}}}</style>\n{group}{after}"


@contextlib.contextmanager
def silence() -> Generator[None]:
    """Keeps from stderr what libraries of C write there: here complaints about the settings of the system's fonts."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


COMMANDS = (diagram,)
