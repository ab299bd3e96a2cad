"""What the reference shows beside docstrings: things that rooms offer, comments beside constants and fields."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from griffe import Alias, Attribute, Class, Docstring, Extension, Module, Object
from surface import PACKAGE, comment


class Offered(Extension):
    """Names lead to what they are; constants say what they are."""

    def on_attribute_instance(self, *, node: Any, attr: Attribute, **_: Any) -> None:
        """A constant's comment, or a field's, is its docstring, unless its class has it under `Attributes:`."""
        home = attr.parent
        told = isinstance(home, Class) and home.docstring and "Attributes:" in home.docstring.value
        if attr.docstring is None and not told and isinstance(node, ast.Assign | ast.AnnAssign) and home:
            text = comment(home.lines_collection[cast(Path, home.filepath)], node)
            if text:
                attr.docstring = Docstring(text, parent=attr, lineno=node.lineno)
        if attr.lineno != attr.endlineno:
            attr.value = None  # long tables say less than what they are for

    def on_class(self, *, cls: Class, **_: Any) -> None:
        """Bases that nobody is offered are left out."""
        cls.bases = [base for base in cls.bases if not str(base).startswith("_")]

    def on_package(self, *, pkg: Module, **_: Any) -> None:
        """A room's name is the thing that it imports, also where one of its files has the same name.

        Griffe takes the file: `thalweg.survey.survey` would be a page of the function's neighbours.
        """
        rooms = list(_modules(pkg))
        things = {
            (room, name): _thing(pkg, room.imports[name])
            for room in rooms
            for name in map(str, room.exports or [])
            if room.imports.get(name, "").startswith(f"{PACKAGE}.")
        }
        for (room, name), thing in things.items():
            if not isinstance(thing, Module):
                room.members[name] = Alias(name, thing, parent=room)


def _modules(package: Module) -> Iterator[Module]:
    """Every folder and file inside."""
    for member in package.members.values():
        if isinstance(member, Module):
            yield member
            yield from _modules(member)


def _thing(package: Module, path: str) -> Object | Alias:
    """What is defined behind an import, and behind the imports there."""
    *homes, name = path.split(".")[1:]
    here: Any = package
    for home in homes:
        here = here.members[home]
    imported = here.imports.get(name, path)
    return here.members[name] if imported == path else _thing(package, imported)
