"""`startproject` and `startapp`: the bundled template, rendered into a folder.

Everything is rendered and checked before the first file is written; where writing fails half-way, what was
written is taken away again.
"""

from __future__ import annotations

import contextlib
import importlib.util
import keyword
import os
import re
import shlex
import shutil
import sys
import tempfile
import unicodedata
import zipfile
from collections.abc import Generator, Mapping
from pathlib import Path

import typer

from datalayer.cli import output
from datalayer.cli.options import refuse_together
from datalayer.errors import DatalayerError

TAKEN = frozenset({"datalayer", "migrations", "noxfile", "test", "tests"})  # names the template itself uses
LEFT_OUT = frozenset({"__pycache__", ".git"})  # what lies in the folder of a template and belongs to no project
SERVICE_FILES = frozenset({"project/service.py", "tests/test_service.py"})  # left out by --minimal
TEMPLATE = typer.Option(
    None,
    "--template",
    metavar="FOLDER",
    help="A folder or zip file of your own to make it from.",
    show_default=False,
)


def startproject(
    name: str = typer.Argument(metavar="NAME", help="The project's name, which Python can import."),
    folder: Path | None = typer.Argument(
        None, metavar="FOLDER", help="Where to put it; a new folder NAME by default.", show_default=False
    ),
    minimal: bool = typer.Option(False, "--minimal", help="Leave the HTTP service out."),
    template: str | None = TEMPLATE,
) -> None:
    """Start a project with models, a service and green tests.

    The folder must be new or empty. A project has typed settings, two modules of models, their first migration, an
    HTTP service (FastAPI), a command-line report and tests: it runs as it stands.

    \b
    Examples:
      datalayer startproject shop              into ./shop
      datalayer startproject shop .            into this folder, which is empty
      datalayer startproject shop --minimal    without the HTTP service
      datalayer startproject shop --template ~/templates/service
    """
    refuse_together(("--minimal", minimal), ("--template", template))
    target = (folder or Path(name)).absolute()
    check_name(name, target)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DatalayerError(f"cannot start {name!r} in {target}: it is not an empty folder; name another one")
    with template_of("project", template) as source:
        files = rendered(source, name, service=not minimal)
    write(target, files)
    shown = folder or Path(name)
    output.say(f"started {name} in {shown}; next:")
    run = f"python -m {name}" if not minimal else f"python -m {name}.report"
    output.say(f"  cd {shlex.quote(str(shown))}")
    for line in () if template else ("pip install -e '.[dev]'", "datalayer migrate", "pytest", run):
        output.say(f"  {line}")


def startapp(
    name: str = typer.Argument(metavar="NAME", help="The app's name, which Python can import."),
    template: str | None = TEMPLATE,
) -> None:
    """Add a package with models to the project.

    Writes NAME/models.py with a first model, and adds it to `models` in datalayer.toml.

    \b
    Example:
      datalayer startapp blog && datalayer makemigrations
    """
    from datalayer.conf.sources import find_file

    file = find_file(Path.cwd(), os.environ)
    here = file.path.parent if file else Path.cwd()  # where Python finds it, below the project too
    target = here / name
    check_name(name, target)
    if target.exists():
        raise DatalayerError(f"cannot start app {name!r}: {name} exists here; name another one")
    with template_of("app", template) as source:
        files = rendered(source, name, service=False)
    write(target, files)
    is_registered = register(here / "datalayer.toml", f"{name}.models")
    output.say(f"started app {name}; next:")
    if file is None:
        output.say(f'  there is no project here: write a datalayer.toml with the line models = ["{name}.models"]')
    elif not is_registered:
        output.say(f'  add "{name}.models" to `models` in the settings file')
    output.say(f"  write your models in {name}/models.py")
    output.say("  datalayer makemigrations")


def check_name(name: str, target: Path) -> None:
    """Refuse a name that Python could not import, or that would hide a module that is already there.

    Raises:
        DatalayerError: The name is a keyword, no identifier, or taken.
    """
    if keyword.iskeyword(name):
        raise DatalayerError(f"{name!r} is a word of Python itself; choose another name")
    if not is_name(name):
        plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
        near = re.sub(r"\W+", "_", plain).strip("_").lower()
        hint = f"; did you mean {near!r}?" if is_name(near) else ""
        raise DatalayerError(
            f"{name!r} is no name for a Python package: letters, digits and underscores, a letter first and no "
            f"underscore last{hint}"
        )
    if name in sys.stdlib_module_names:
        raise DatalayerError(f"{name!r} would hide a module of Python's standard library; choose another name")
    if name in TAKEN:
        raise DatalayerError(f"{name!r} is a name every project uses itself; choose another name")
    if is_installed(name, target):
        raise DatalayerError(f"{name!r} would hide an installed module of that name; choose another name")


def is_name(name: str) -> bool:
    """Whether Python can import a package of that name, and an installer takes it for one of a project."""
    return re.fullmatch(r"[A-Za-z](\w*[A-Za-z0-9])?", name, re.ASCII) is not None and not keyword.iskeyword(name)


def is_installed(name: str, target: Path) -> bool:
    """Whether `import name` finds something other than what lies around the target folder."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    if spec is None:
        return False
    places = [Path(place).resolve() for place in spec.submodule_search_locations or ()]
    around = {target.resolve(), target.resolve() / name, (Path.cwd() / name).resolve()}
    return not places or not set(places) <= around


def template_folder() -> Path:
    """Where the template lies: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    for place in (package / "app_template", package.parent / "app_template"):
        if (place / "project").is_dir():
            return place
    raise DatalayerError("the app template is missing from this installation; install datalayer again")


@contextlib.contextmanager
def template_of(kind: str, given: str | None) -> Generator[Path]:
    """Inside, the folder of a template: the bundled one, or that of the folder or zip file that is given.

    Raises:
        DatalayerError: What is given is neither, or empty.
    """
    if given is None:
        yield template_folder() / kind
        return
    if re.match(r"\w+://", given):
        raise DatalayerError(
            f"--template: {given!r} is not fetched from a network, as nobody has looked at it; download it, read it, "
            "and name the file"
        )
    found = Path(given).expanduser()
    with tempfile.TemporaryDirectory() as unpacked:
        if zipfile.is_zipfile(found):
            found = _unpacked(found, Path(unpacked))
        if not found.is_dir() or not any(found.iterdir()):
            what = "is empty" if found.is_dir() else "is neither a folder nor a zip file"
            raise DatalayerError(f"--template: {given!r} {what}; name one that holds the files to begin with")
        yield found


def _unpacked(file: Path, folder: Path) -> Path:
    """The files of a zip file, without the one folder that most programs put around them."""
    try:
        with zipfile.ZipFile(file) as archive:
            archive.extractall(folder)  # it writes nothing outside, whatever the names of the files say
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:  # damaged, encrypted, of a strange method
        raise DatalayerError(f"--template: {str(file)!r} cannot be unpacked: {error}") from error
    inside = list(folder.iterdir())
    is_wrapped = len(inside) == 1 and inside[0].is_dir() and inside[0].name != "project"
    return inside[0] if is_wrapped else folder


def rendered(template: Path, name: str, *, service: bool) -> dict[Path, str | bytes]:
    """Every file of a template, as relative path and text; what is no text is taken as it is.

    A folder called `project` gets the name, and a leading `dot-` becomes a dot.

    Raises:
        DatalayerError: A file is no template that Jinja can fill in.
    """
    from jinja2 import StrictUndefined, TemplateError
    from jinja2.sandbox import SandboxedEnvironment

    engine = SandboxedEnvironment(
        undefined=StrictUndefined, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True
    )
    known = {"name": name, "title": titled(name), "service": service}
    found: dict[Path, str | bytes] = {}
    for source in sorted(template.rglob("*")):
        relative = source.relative_to(template)
        if source.is_dir() or not LEFT_OUT.isdisjoint(relative.parts):
            continue
        if not service and relative.as_posix() in SERVICE_FILES:
            continue
        parts = [name if part == "project" else re.sub(r"^dot-", ".", part) for part in relative.parts]
        content = source.read_bytes()
        try:
            found[Path(*parts)] = engine.from_string(content.decode("utf-8")).render(known)
        except UnicodeDecodeError:
            found[Path(*parts)] = content
        except TemplateError as error:
            raise DatalayerError(
                f"--template: {relative} cannot be filled in: {error}; it may use {', '.join(known)}, and what is for "
                "another program stands between {% raw %} and {% endraw %}"
            ) from error
    return found


def titled(name: str) -> str:
    """A package name as words: `book_shop` is `Book shop`."""
    return name.replace("_", " ").strip().capitalize()


def write(target: Path, files: Mapping[Path, str | bytes]) -> None:
    """Write all files below `target`, or none."""
    existed = target.exists()
    try:
        for relative, text in files.items():
            place = target / relative
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
    except BaseException:  # Ctrl-C included: no half project stays behind
        for child in target.iterdir() if target.is_dir() else ():
            shutil.rmtree(child) if child.is_dir() else child.unlink()
        if not existed and target.is_dir():
            target.rmdir()
        raise


def register(file: Path, module: str) -> bool:
    """Add a module to `models` in the project's file; False where that is left to the reader."""
    if not file.is_file():
        return False
    text = file.read_text("utf-8")
    found = re.search(r"^models = \[(?P<names>[^\]\n]*)\]", text, re.MULTILINE)
    if found is None:
        return False
    names = [part for part in (item.strip() for item in found["names"].split(",")) if part]
    line = "models = [" + ", ".join([*names, f'"{module}"']) + "]"
    file.write_text(text[: found.start()] + line + text[found.end() :], "utf-8")
    return True


COMMANDS = (startproject, startapp)
