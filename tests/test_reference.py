"""The reference is the public surface, every name of it says what it is, and the docs name only what there is."""

import ast
import importlib.util
import inspect
import re
import warnings
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from typer.main import get_command

from thalweg.cli.main import app

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SPEC = importlib.util.spec_from_file_location("surface", ROOT / "docs" / "hooks" / "surface.py")
assert SPEC is not None
assert SPEC.loader is not None
surface = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(surface)
FACES = surface.faces()


def listed(path: Path) -> list[str] | None:
    """`__all__`, read from the source."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return None


def source_of(module: str) -> Path:
    """The file of a module's face."""
    place = ROOT / "src" / module.replace(".", "/")
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


def test_the_reference_has_the_names_of_every_room_and_no_others():
    package = ROOT / "src" / "thalweg"
    rooms = [*package.glob("[!_]*.py"), *package.glob("*/__init__.py")]
    expected = {f"thalweg.{(p.parent if p.stem == '__init__' else p).stem}" for p in rooms} | {"thalweg"}
    inner = {module for module in FACES if module.count(".") > 1}
    assert set(FACES) - inner == expected
    assert {module: listed(source_of(module)) for module in FACES} == FACES
    for module in inner:
        room, _, name = module.rpartition(".")
        assert name in FACES[room]


def test_every_name_of_the_package_is_whole_in_its_room():
    for name in FACES["thalweg"]:
        thing = getattr(import_module("thalweg"), name)
        assert name in FACES[".".join(thing.__module__.split(".")[:2])], name


def said(module: str, name: str) -> str:
    """The docstring of a thing, or the comment beside a constant where it is defined."""
    thing = getattr(import_module(module), name)
    if inspect.isclass(thing) or inspect.isroutine(thing) or isinstance(thing, ModuleType):
        return inspect.getdoc(thing) or ""
    path, lines, here = module, [], None
    while here is None:
        lines = source_of(path).read_text().splitlines()
        for node in ast.parse("\n".join(lines)).body:
            if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
                path = str(node.module)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                here = node if ast.unparse(target) == name else here
    return surface.comment(lines, here)


def is_sentence(text: str) -> bool:
    """Whether a first line says something to its end: words, then a stop; what is not cut in two."""
    return bool(re.fullmatch(r"\S.*[.:?)](?:  .*)?", (text.splitlines() or [""])[0]))


def test_every_name_says_what_it_is():
    silent = [module for module in FACES if not is_sentence(inspect.getdoc(import_module(module)) or "")]
    for module, names in FACES.items():
        for name in names:
            thing, text = getattr(import_module(module), name), said(module, name)
            told = is_sentence(text) if inspect.isclass(thing) or inspect.isroutine(thing) else bool(text)
            if not told:
                silent.append(f"{module}.{name}: {text[:80]!r}")
    assert silent == []


def test_silence_is_heard():  # negative control
    assert not any(map(is_sentence, ["", "Two halves of a", "\nLate."]))
    lines = ["# Seconds,", "# at most.", "LONG = (", "    1,", ")", "", "BARE = 2", "LEVEL = 3  # of a test"]
    found = {ast.unparse(n.targets[0]): surface.comment(lines, n) for n in ast.parse("\n".join(lines)).body}
    assert found == {"LONG": "Seconds, at most.", "BARE": "", "LEVEL": "of a test"}


def resolve(dotted: str) -> Any:
    """What a dotted name names; a room goes before the function of its name."""
    home, _, name = dotted.rpartition(".")
    if not home:
        return import_module(name)
    try:
        place = import_module(home)
    except ModuleNotFoundError:
        place = resolve(home)
    return getattr(place, name) if hasattr(place, name) else import_module(dotted)


ROOMS = "|".join(r.rpartition(".")[2] for r in surface.rooms() if r.rpartition(".")[2] not in FACES["thalweg"])
FILES = "md|py|toml|html|zarr|json|npz|csv|png|pdf"


def dotted_names(text: str) -> set[str]:
    """`thalweg.room.thing`, `tw.thing`, `room.thing`, `from thalweg.room import thing`; all from the package on."""
    long = re.findall(rf"\b(?:thalweg|tw)((?:\.(?!(?:{FILES})\b)\w+)+)", text)
    short = re.findall(rf"(?<![\w./])((?:{ROOMS})(?:\.(?!(?:{FILES})\b)\w+)+)", text)
    taken = re.findall(r"from thalweg([\w.]*) import (?:\(([^)]*)\)|([\w, ]+))", text)
    brought = [
        f"{home}.{name.split()[0]}" for home, *lists in taken for name in "".join(lists).split(",") if name.strip()
    ]
    return {f"thalweg.{name.lstrip('.')}" for name in [*long, *short, *brought]}


def stale(page: Path, text: str) -> list[str]:
    """Names that do not resolve or are deprecated, links and scripts that lead nowhere."""
    found = []
    for name in sorted(dotted_names(text)):
        try:
            with warnings.catch_warnings(action="error", category=DeprecationWarning):
                resolve(name)
        except (AttributeError, ImportError, DeprecationWarning) as error:
            found.append(f"{page.name}: {name}: {error}")
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", text)
    missing = [link for link in links if not (page.parent / link).exists()]
    scripts = re.findall(r"\b(?:benchmarks|examples/agents)/\w+\.\w+", text)
    return found + [f"{page.name}: {p}" for p in [*missing, *(s for s in scripts if not (ROOT / s).exists())]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_the_docs_name_is_there(page):
    assert stale(page, page.read_text()) == []


def test_what_is_stale_is_found():  # negative control
    text = """[a](docs/gone.md) `benchmarks/gone.py`, tw.gone, `thalweg.rl.gone`, `phases.gone`, "a.zarr"
    from thalweg.irl import (Behaviour, gone)
    [b](docs/phases.md), tw.MDP.optimal, thalweg.html, https://a.org/tw.html"""
    words = [line.split(": ")[1] for line in stale(ROOT / "README.md", text)]
    names = ["thalweg.gone", "thalweg.irl.gone", "thalweg.phases.gone", "thalweg.rl.gone"]
    assert words == [*names, "docs/gone.md", "benchmarks/gone.py"]


def parameters() -> list[Any]:
    """Every argument and option of the command line."""
    todo, found = [get_command(app)], []
    while todo:
        command = todo.pop()
        found += command.params
        todo.extend(getattr(command, "commands", {}).values())
    return found


def options() -> set[str]:
    """Every option of the command line and of the benchmarks."""
    found = {option for parameter in parameters() for option in [*parameter.opts, *parameter.secondary_opts]}
    scripts = "".join(path.read_text() for path in (ROOT / "benchmarks").glob("*.py"))
    return found | set(re.findall(r"\"(--[a-z-]+)\"", scripts))


def test_options_of_the_docs_are_there():
    known = options() | {"--help"}
    assert {o for page in PAGES for o in re.findall(r"(?<![\w-])--[a-z][a-z-]*", page.read_text())} - known == set()
    assert "--gone" not in known


def test_every_option_says_what_it_is():
    told = {parameter.name: getattr(parameter, "help", None) or "" for parameter in parameters()}
    assert [name for name, text in told.items() if not text.strip() or "[" in text] == []  # markup eats brackets
