from __future__ import annotations

import ast
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from datalayer.cli import app, project


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))


def files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("flags", [[], ["--minimal"]], ids=["service", "minimal"])
def test_every_file_is_what_its_name_says(flags: list[str], tmp_path: Path) -> None:
    assert app.main(["startproject", "book_shop", *flags]) == 0
    for path in (tmp_path / "book_shop").rglob("*"):
        text = path.read_text("utf-8") if path.is_file() else ""
        assert "{{" not in text
        assert "{%" not in text
        if path.suffix == ".py":
            ast.parse(text, path.name)
        if path.suffix == ".toml":
            tomllib.loads(text)


def test_project_has_its_parts(tmp_path: Path) -> None:
    assert app.main(["startproject", "shop"]) == 0
    found = files_of(tmp_path / "shop")
    wanted = {".env.example", ".gitignore", "README.md", "datalayer.toml", "noxfile.py", "pyproject.toml"}
    assert wanted | {"shop/service.py", "shop/report.py", "shop/models/catalog.py", "tests/test_service.py"} <= found


def test_minimal_leaves_the_service_out(tmp_path: Path) -> None:
    assert app.main(["startproject", "shop", "--minimal"]) == 0
    found = files_of(tmp_path / "shop")
    assert {name for name in found if "service" in name} == set()
    texts = [(tmp_path / "shop" / name).read_text("utf-8") for name in found]
    assert [text for text in texts if "fastapi" in text or "uvicorn" in text] == []


def test_project_goes_where_it_is_told_even_into_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    assert app.main(["startproject", "shop", "here"]) == 0
    assert (tmp_path / "here" / "shop" / "__main__.py").is_file()


def test_app_is_registered_in_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert app.main(["startproject", "shop", "."]) == 0
    assert app.main(["startapp", "blog_post"]) == 0
    assert "class BlogPost(Model)" in (tmp_path / "blog_post" / "models.py").read_text("utf-8")
    settings = tomllib.loads((tmp_path / "datalayer.toml").read_text("utf-8"))
    assert settings["models"] == ["shop.models", "blog_post.models"]


def test_app_made_below_the_project_stands_where_it_can_be_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert app.main(["startproject", "shop", "."]) == 0
    monkeypatch.chdir(tmp_path / "shop")
    assert app.main(["startapp", "blog"]) == 0
    assert (tmp_path / "blog" / "models.py").is_file()
    assert '"blog.models"' in (tmp_path / "datalayer.toml").read_text("utf-8")


def test_app_is_not_written_over_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["startapp", "blog"]) == 0
    assert app.main(["startapp", "blog"]) == 1
    assert "blog exists here" in capsys.readouterr().err


def test_app_outside_a_project_says_the_line_that_makes_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["startapp", "lantern"]) == 0
    told = next(line for line in capsys.readouterr().out.splitlines() if "there is no project here" in line)
    (tmp_path / "datalayer.toml").write_text(told.partition("with the line ")[2], "utf-8")
    assert tomllib.loads((tmp_path / "datalayer.toml").read_text("utf-8")) == {"models": ["lantern.models"]}


def test_template_is_found_in_a_checkout() -> None:
    assert (project.template_folder() / "project" / "datalayer.toml").is_file()


def test_a_folder_with_a_space_is_shown_as_a_shell_takes_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["startproject", "shop", str(tmp_path / "my shop")]) == 0
    assert f"\n  cd '{tmp_path / 'my shop'}'\n" in capsys.readouterr().out


def template(tmp_path: Path, **files: bytes) -> str:
    folder = tmp_path / "mine"
    for name, content in files.items():
        place = folder / name.replace("__", "/").replace("_txt", ".txt")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
    return str(folder)


def test_a_folder_of_ones_own_is_a_template_for_projects_and_apps(tmp_path: Path) -> None:
    mine = template(tmp_path, project__read_txt=b"{{ name }} is {{ title }}", picture=b"\x89\xff", **{"dot-env": b""})
    assert app.main(["startproject", "book_shop", "--template", mine]) == 0
    made = tmp_path / "book_shop"
    assert files_of(made) == {"book_shop/read.txt", "picture", ".env"}
    assert (made / "book_shop" / "read.txt").read_text() == "book_shop is Book shop"
    assert (made / "picture").read_bytes() == b"\x89\xff"
    assert app.main(["startapp", "blog", f"--template={mine}"]) == 0
    assert (tmp_path / "blog" / "blog" / "read.txt").is_file()


def test_a_template_that_cannot_be_filled_in_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = template(tmp_path, good_txt=b"", wrong_txt=b"{{ owner }}")
    assert app.main(["startproject", "shop", "--template", mine]) == 1
    assert "wrong.txt cannot be filled in: 'owner' is undefined; it may use name, title" in capsys.readouterr().err
    assert not (tmp_path / "shop").exists()


def test_a_template_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["startproject", "shop", "--template", "nowhere"]) == 1
    assert capsys.readouterr().err.startswith("error: --template: 'nowhere' is neither a folder nor a zip file")
    assert app.main(["startproject", "shop", "--minimal", "--template", "nowhere"]) == 2


def zipped(tmp_path: Path, name: str, **files: str) -> str:
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return str(tmp_path / name)


@pytest.mark.parametrize("top", ["", "service-main/"])
def test_a_zip_file_is_a_template_with_or_without_a_folder_around_it(top: str, tmp_path: Path) -> None:
    files = {f"{top}project/read.txt": "{{ title }}", f"{top}dot-env": ""}
    assert app.main(["startproject", "book_shop", "--template", zipped(tmp_path, "mine.zip", **files)]) == 0
    assert files_of(tmp_path / "book_shop") == {"book_shop/read.txt", ".env"}
    assert (tmp_path / "book_shop" / "book_shop" / "read.txt").read_text() == "Book shop"


def test_nothing_of_a_zip_file_leaves_the_new_folder(tmp_path: Path) -> None:
    mine = zipped(tmp_path, "mine.zip", **{"../../out.txt": "", "read.txt": ""})
    assert app.main(["startproject", "shop", str(tmp_path / "a" / "shop"), "--template", mine]) == 0
    assert files_of(tmp_path / "a") == {"shop/out.txt", "shop/read.txt"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("https://example.org/mine.zip", "is not fetched from a network, as nobody has looked at it"),
        ("broken.zip", "is neither a folder nor a zip file"),
        ("empty.zip", "is empty"),
    ],
)
def test_a_template_that_is_none_is_told_why(
    given: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.zip").write_text("no zip")
    zipped(tmp_path, "empty.zip")
    assert app.main(["startproject", "shop", "--template", given]) == 1
    assert capsys.readouterr().err.startswith(f"error: --template: {given!r} {said}")
    assert not (tmp_path / "shop").exists()


def test_a_template_cannot_reach_into_python(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = template(tmp_path, wrong_txt=b"{{ name.__class__.__mro__ }}")
    assert app.main(["startproject", "shop", "--template", mine]) == 1
    assert "wrong.txt cannot be filled in: access to attribute '__class__'" in capsys.readouterr().err
