"""How is the house built? Circles, faces, names, lengths: counted in the source, importing none of it.

    python benchmarks/house.py [--json] [--places] [ROOT]

ROOT is a checkout, by default the one that this file is in, so that two can be compared. A room is a folder or a file
in `src/thalweg`; its face is what can be imported as `thalweg.room`. What is counted:

circles          groups of files that import each other, straight or by way of others; imports for types alone and in
                 functions count too
past a face      imports from `thalweg.room.file` in another room: statements, and the names in them
public names     functions and classes without an underscore at the top of a file whose name has none, or that are
                 offered; and those at the top of any file
offered names    different things that `__all__` of the package or of a room names, or that a room of one file without
                 `__all__` defines without an underscore; and what README, docs and examples write as
                 `thalweg.room.file.name`, `tw.…` or `from thalweg… import name`; a thing with two names is one
lines            of all files, blank ones too
longest          function, from `def` to its end, docstring and functions inside it included
long             functions of more than LONG lines
wide             functions of more than WIDE arguments, without self, outside the command line
by string        places outside the table of samplers that compare with, or list, nothing but names of samplers;
                 `sampler="hmc"` chooses and asks nothing, and does not count
"""

import argparse
import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

PACKAGE = "thalweg"
LONG, WIDE = 60, 7
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Import:
    """One name that is imported, in one place.

    Attributes:
        module: `thalweg.room.file`, of the house.
        name: from it; None where the module itself is imported.
        bound: what it is called here.
        line: where.
    """

    module: str
    name: str | None
    bound: str
    line: int


@dataclass(frozen=True)
class House:
    """The files of a package.

    Attributes:
        root: of the checkout.
        trees: syntax of each module, by its dotted name.
        paths: of the same.
    """

    root: Path
    trees: dict[str, ast.Module]
    paths: dict[str, Path]

    @classmethod
    def read(cls, root: Path) -> "House":
        """All files of `root/src/thalweg`."""
        source = root / "src"
        paths = {}
        for path in sorted((source / PACKAGE).rglob("*.py")):
            parts = path.relative_to(source).with_suffix("").parts
            paths[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
        return cls(root, {name: ast.parse(path.read_text()) for name, path in paths.items()}, paths)

    def place(self, module: str, line: int) -> str:
        """File and line."""
        return f"{self.paths[module].relative_to(self.root)}:{line}"

    @cached_property
    def imports(self) -> dict[str, list[Import]]:
        """What each module imports of the house."""
        return {module: list(self._imported(module)) for module in self.trees}

    def _imported(self, module: str) -> Iterator[Import]:
        for node in ast.walk(self.trees[module]):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name in self.trees:
                        yield Import(alias.name, None, alias.asname or alias.name, node.lineno)
            elif isinstance(node, ast.ImportFrom):
                home = self._absolute(module, node)
                for alias in node.names:
                    bound = alias.asname or alias.name
                    if f"{home}.{alias.name}" in self.trees and not self._hides(home, alias.name):
                        yield Import(f"{home}.{alias.name}", None, bound, node.lineno)
                    elif home in self.trees:
                        yield Import(home, alias.name, bound, node.lineno)

    def _absolute(self, module: str, node: ast.ImportFrom) -> str:
        """The module that is imported from, its dots resolved."""
        if not node.level:
            return node.module or ""
        parts = module.split(".")
        inside = len(parts) + (self.paths[module].name == "__init__.py") - node.level
        return ".".join([*parts[:inside], *([node.module] if node.module else [])])

    def _hides(self, module: str, name: str) -> bool:
        """Whether a folder has a thing of the name of one of its files: `from thalweg.survey import survey`."""
        taken = {
            alias.asname or alias.name
            for node in ast.walk(self.trees[module])
            if isinstance(node, ast.ImportFrom) and self._absolute(module, node) != module
            for alias in node.names
        }
        return name in taken | _defined(self.trees[module])

    def functions(self) -> Iterator[tuple[str, Function]]:
        """Every function and method, also inside others, with its module."""
        for module, tree in self.trees.items():
            for node in ast.walk(tree):
                if isinstance(node, Function):
                    yield module, node


def room(module: str) -> str:
    """`thalweg.room.file` -> `room`; empty for the package itself."""
    return [*module.split("."), ""][1]


def circles(house: House) -> list[list[str]]:
    """Groups of files each of which reaches all others by imports."""
    edges = {m: {i.module for i in found} for m, found in house.imports.items()}
    reached: dict[str, set[str]] = {}
    for module in edges:
        seen, todo = set[str](), [*edges[module]]
        while todo:
            if (following := todo.pop()) not in seen:
                seen.add(following)
                todo.extend(edges[following])
        reached[module] = seen
    groups = {tuple(sorted({m} | {x for x in reached[m] if m in reached[x]})) for m in edges if m in reached[m]}
    return [list(group) for group in sorted(groups)]


def _on_face(house: House, each: Import) -> bool:
    """Whether an import is of a room, or of a file that its room offers, as `theory.finite`."""
    home, _, name = each.module.rpartition(".")
    return home.count(".") == 0 or (each.name is None and name in (_offered(house.trees[home]) or []))


def past_faces(house: House) -> dict[str, list[str]]:
    """What is taken from a file of another room: statement -> names."""
    found: dict[str, list[str]] = {}
    for module, imports in house.imports.items():
        for each in imports:
            if room(module) != room(each.module) and not _on_face(house, each):
                statement = f"{house.place(module, each.line)}  {room(module) or PACKAGE} -> {each.module}"
                found.setdefault(statement, []).append(each.name or "all of it")
    return found


def _taken(tree: ast.Module) -> set[str]:
    """Names that imports bind."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    return {alias.asname or alias.name for node in imports for alias in node.names}


def _defined(tree: ast.Module) -> set[str]:
    """Functions, classes and constants at the top of a file."""
    names = set()
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def _offered(tree: ast.Module) -> list[str] | None:
    """`__all__`, if there is one."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return list(ast.literal_eval(node.value))
    return None


def _open(tree: ast.Module) -> list[str]:
    return sorted(name for name in _defined(tree) if not name.startswith("_"))


def open_names(house: House) -> list[str]:
    """Functions and classes without an underscore at the top of a file."""
    return [
        f"{module}.{node.name}"
        for module, tree in house.trees.items()
        for node in tree.body
        if isinstance(node, Function | ast.ClassDef) and not node.name.startswith("_")
    ]


def public_names(house: House) -> list[str]:
    """Those of them in files that are no room's own, and those that are offered all the same."""
    offered = set(offered_names(house))
    return [name for name in open_names(house) if name in offered or "._" not in name]


def _origin(house: House, module: str, name: str) -> str | None:
    """Where a name that a module has was defined; None where it has no such name, or a module by it."""
    for each in house.imports[module]:
        if each.bound == name:
            return None if each.name is None else _origin(house, each.module, each.name)
    return f"{module}.{name}" if name in _defined(house.trees[module]) else None


def _written(house: House) -> set[str]:
    """Dotted names of the house in README, docs and examples."""
    pages = [house.root / "README.md", *(house.root / "docs").rglob("*.md"), *(house.root / "examples").rglob("*.*")]
    names = set[str]()
    for page in pages:
        if not page.is_file() or page.suffix not in (".md", ".py", ".ipynb"):
            continue
        text = page.read_text()
        names |= {PACKAGE + dotted for dotted in re.findall(rf"\b(?:{PACKAGE}|tw)((?:\.\w+)+)", text)}
        for home, bare, inside in re.findall(rf"from ({PACKAGE}[\w.]*) import (?:([\w, ]+)|\(([^)]*)\))", text):
            names |= {f"{home}.{part.split()[0]}" for part in (bare or inside).split(",") if part.strip()}
    return names


def offered_names(house: House) -> list[str]:
    """What the faces offer and the docs name, each thing once, as where it is defined."""
    found = set[str | None]()
    for module, tree in house.trees.items():
        if module.count(".") <= 1:
            offered = _offered(tree)
            found |= {_origin(house, module, name) for name in (_open(tree) if offered is None else offered)}
    for dotted in _written(house):
        parts = dotted.split(".")
        homes = [i for i in range(1, len(parts)) if ".".join(parts[:i]) in house.trees]
        if homes:
            found.add(_origin(house, ".".join(parts[: homes[-1]]), parts[homes[-1]]))
    return sorted(name for name in found if name is not None)


def _length(function: Function) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


def lengths(house: House) -> list[tuple[int, str]]:
    """Lines of every function, the longest first."""
    found = [(_length(f), f"{house.place(module, f.lineno)}  {f.name}") for module, f in house.functions()]
    return sorted(found, key=lambda each: (-each[0], each[1]))


def _width(function: Function) -> int:
    a = function.args
    named = [*a.posonlyargs, *a.args]
    own = bool(named) and named[0].arg in ("self", "cls")
    return len(named) - own + len(a.kwonlyargs) + (a.vararg is not None) + (a.kwarg is not None)


def wide(house: House) -> list[str]:
    """Functions of too many arguments, outside the command line, the widest first."""
    found = [(_width(f), m, f) for m, f in house.functions() if room(m) != "cli" and _width(f) > WIDE]
    found.sort(key=lambda each: (-each[0], each[1], each[2].lineno))
    return [f"{house.place(module, f.lineno)}  {f.name} {width}" for width, module, f in found]


def samplers(house: House) -> set[str]:
    """Files of the samplers' room that have a sampler's shape: State, init, step."""
    modules = {m: _defined(tree) | _taken(tree) for m, tree in house.trees.items() if room(m) == "samplers"}
    return {m.split(".")[-1] for m, names in modules.items() if {"State", "init", "step"} <= names}


def _listed(node: ast.AST) -> list[ast.expr | None]:
    """The members of a list, a tuple, a set, the keys of a dict, the sides of a comparison, a case, a Literal."""
    match node:
        case ast.List() | ast.Tuple() | ast.Set():
            return list(node.elts)
        case ast.Dict():
            return list(node.keys)
        case ast.Compare():
            return [side for side in (node.left, *node.comparators) if isinstance(side, ast.Constant)]
        case ast.MatchValue():
            return [node.value]
        case ast.Subscript(value=ast.Name(id="Literal")):
            return [node.slice]
    return []


def _strings(node: ast.AST) -> set[Any]:
    return {member.value if isinstance(member, ast.Constant) else None for member in _listed(node)}


def by_string(house: House) -> list[str]:
    """Where a sampler is asked for by its name."""
    names, found = samplers(house), set[tuple[str, int]]()
    for module, tree in house.trees.items():
        nodes = list(ast.walk(tree))
        table = any(isinstance(node, ast.Dict) and names and _strings(node) == names for node in nodes)
        if not (table and room(module) == "samplers"):
            found |= {
                (module, getattr(node, "lineno", 0)) for node in nodes if (told := _strings(node)) and told <= names
            }
    return [house.place(module, line) for module, line in sorted(found)]


def measure(root: Path) -> dict[str, dict[str, Any]]:
    """All that is counted: a number for each, and its places."""
    house = House.read(root)
    past, sizes = past_faces(house), lengths(house)
    files = [path.read_text().count("\n") for path in house.paths.values()]
    rows: dict[str, tuple[str, list[Any], int | None]] = {
        "circles": ("groups of files that import each other", circles(house), None),
        "past_faces": ("imports past a room's face", [f"{at}: {', '.join(n)}" for at, n in past.items()], None),
        "past_faces_names": ("names in them", [], sum(map(len, past.values()))),
        "public_names": ("public names: functions and classes that are no room's own", public_names(house), None),
        "open_names": ("names without an underscore in all files", [], len(open_names(house))),
        "offered_names": ("names that faces offer or docs name", offered_names(house), None),
        "files": ("files", [], len(files)),
        "lines": ("lines", [], sum(files)),
        "longest": ("lines of the longest function", [x[1] for x in sizes[:1]], sizes[0][0] if sizes else 0),
        "long": (f"functions of more than {LONG} lines", [f"{at} {n}" for n, at in sizes if n > LONG], None),
        "wide": (f"functions of more than {WIDE} arguments, outside cli", wide(house), None),
        "by_string": ("samplers asked for by string", by_string(house), None),
    }
    return {
        name: {"what": what, "count": len(places) if count is None else count, "places": places}
        for name, (what, places, count) in rows.items()
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).parents[1], help="a checkout")
    parser.add_argument("--json", action="store_true", help="one JSON document, with all places")
    parser.add_argument(
        "--places", action="store_true", help="places below each number, names that are public or offered apart"
    )
    chosen = parser.parse_args()
    found = measure(chosen.root.resolve())
    if chosen.json:
        print(json.dumps(found, indent=1))
        return
    for name, row in found.items():
        print(f"{row['count']:7,}  {row['what']}")
        if chosen.places and not name.endswith("_names"):
            for place in row["places"]:
                print(f"           {' <-> '.join(place) if isinstance(place, list) else place}")


if __name__ == "__main__":
    main()
