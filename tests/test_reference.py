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
    return bool(re.fullmatch(r"\S.*[.:?)]", (text.splitlines() or [""])[0]))


def test_every_name_says_what_it_is():
    silent = []
    for module, names in FACES.items():
        for name in names:
            thing, text = getattr(import_module(module), name), said(module, name)
            told = is_sentence(text) if callable(thing) or isinstance(thing, ModuleType) else bool(text)
            if not told:
                silent.append(f"{module}.{name}: {text[:80]!r}")
    assert silent == []
