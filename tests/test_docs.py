"""Every ```python block of README.md and docs/ runs; each page in a process and an empty folder of its own.

The pages about models and queries run on PostgreSQL as well.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests import forks

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ON_POSTGRESQL_TOO = ("README.md", "docs/tutorial.md", "docs/models.md", "docs/queries.md", "docs/transactions.md")
SQLITE = re.compile(r'(?<=configure\(databases={"default": ")sqlite:///[^"]+')
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
RUNNER = """
import ast, asyncio, inspect, json, sys, types

page = types.ModuleType("page")
sys.modules["page"] = page
with asyncio.Runner() as runner:
    for name, source in json.load(sys.stdin):
        code = compile(source, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = eval(code, vars(page))
        if inspect.iscoroutine(result):
            async def wait(it=result):
                return await it
            runner.run(wait())
"""


def blocks(text: str, name: str) -> list[tuple[str, str]]:
    """The python blocks of a page, each padded so that a traceback shows the line of the page."""
    found = []
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        found.append((name, "\n" * line + match.group(1)))
    return found


def run(text: str, name: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return forks.run(["-c", RUNNER], folder=folder, given=json.dumps(blocks(text, name)))


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_page_runs(page: Path, tmp_path: Path) -> None:
    done = run(page.read_text("utf-8"), page.name, tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ON_POSTGRESQL_TOO)
def test_page_means_the_same_on_postgresql(name: str, postgresql_url: str, tmp_path: Path) -> None:
    text, replaced = SQLITE.subn(postgresql_url, (ROOT / name).read_text("utf-8"))
    assert replaced == 1
    done = run(text, name, tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["README.md", "docs/tutorial.md"])
def test_what_a_newcomer_reads_first_is_a_plain_file_too(name: str, tmp_path: Path) -> None:
    code = "\n".join(match.group(1) for match in BLOCK.finditer((ROOT / name).read_text("utf-8")))
    done = forks.run(["-c", code], folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_first_page_leads_to_every_other_in_the_order_of_the_contents() -> None:
    contents = re.findall(
        r"^  - (\S+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:\n")[2], re.MULTILINE
    )
    linked = re.findall(r"\]\(([^)#]+\.md)", (ROOT / "docs" / "index.md").read_text("utf-8"))
    assert contents == ["index.md", *linked]
    assert sorted(contents) == sorted(page.name for page in (ROOT / "docs").glob("*.md"))


def test_the_runner_sees_a_failing_block(tmp_path: Path) -> None:
    page = "words\n\n```python\na = 1\n```\n\n```python\nimport asyncio\nawait asyncio.sleep(0)\nassert a == 2\n```\n"
    done = run(page, "page.md", tmp_path)
    assert done.returncode == 1
    assert 'page.md", line 10' in done.stderr
