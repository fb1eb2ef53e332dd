"""Looks through a built web site: `python tests/site.py FOLDER`, which `noxfile.py docs` does after each build.

Every public name has its place in the reference, those its class inherits from us included; every link within the site
leads somewhere.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel

FACES = ("datalayer", "datalayer.conf", "datalayer.pooling", "datalayer.testing", "datalayer.data")
# Where a name is said by a page of its own, or is a module with a heading of its own.
ELSEWHERE = {"datalayer.errors"}


class Page(HTMLParser):
    """The anchors and links of a page."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.feed(file.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Takes what an element is called and where it leads."""
        given = dict(attrs)
        for name in ("id", "name"):
            if given.get(name):
                self.anchors.add(str(given[name]))
        if tag == "a" and given.get("href"):
            self.links.append(str(given["href"]))


def public_names() -> Iterator[str]:
    """Every name a user may use, with the public methods of each class of ours."""
    for face in FACES:
        module = importlib.import_module(face)
        for name in module.__all__:
            yield f"{face}.{name}"
            value = getattr(module, name)
            if inspect.isclass(value):
                yield from (f"{face}.{name}.{method}" for method in methods(value))
    errors = importlib.import_module("datalayer.errors")
    for name, value in vars(errors).items():
        if inspect.isclass(value) and issubclass(value, errors.DatalayerError):
            yield f"datalayer.errors.{name}"


def methods(cls: type) -> set[str]:
    """The public methods a class has from us, inherited or not."""
    found: set[str] = set()
    for parent in cls.__mro__:
        if parent.__module__.startswith("datalayer."):
            found |= {
                name
                for name, value in vars(parent).items()
                if not name.startswith("_") and (inspect.isfunction(value) or isinstance(value, classmethod))
            }
    return found - {name for name in found if hasattr(BaseModel, name)}


def missing_names(reference: Page) -> list[str]:
    """Public names without a place in the reference."""
    return sorted(name for name in public_names() if name not in reference.anchors and name not in ELSEWHERE)


def broken_links(pages: dict[Path, Page]) -> list[str]:
    """Links within the site that lead nowhere."""
    found = []
    for page in pages.values():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.file.parent / unquote(parts.path)).resolve() if parts.path else page.file
            target = target / "index.html" if target.is_dir() else target
            is_there = target in pages or target.is_file()
            has_anchor = not parts.fragment or target not in pages or unquote(parts.fragment) in pages[target].anchors
            if not (is_there and has_anchor):
                found.append(f"{page.file}: {link}")
    return found


def main(folder: Path) -> int:
    """Says what is wrong with the site; 1 when anything is."""
    pages = {file.resolve(): Page(file.resolve()) for file in folder.rglob("*.html")}
    reference = pages[(folder / "reference" / "index.html").resolve()]
    found = [f"not in the reference: {name}" for name in missing_names(reference)]
    found += [
        f"leads nowhere: {link}" for link in broken_links({k: v for k, v in pages.items() if k.name != "404.html"})
    ]
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
