"""The public surface: what the package and its rooms offer, by the `__all__` of each, listed nowhere by hand."""

import ast
import pkgutil
from importlib import import_module
from types import ModuleType

PACKAGE = "thalweg"


def rooms() -> list[str]:
    """The folders and files of the package, `thalweg.rl` and so on."""
    found = pkgutil.iter_modules(import_module(PACKAGE).__path__, f"{PACKAGE}.")
    return sorted(room.name for room in found if not room.name.endswith(".__main__"))


def faces() -> dict[str, list[str]]:
    """Module -> the names that it offers; the package first, then its rooms, and the modules that a room offers.

    Raises:
        AttributeError: a room does not say what it offers.
    """
    found: dict[str, list[str]] = {PACKAGE: list(import_module(PACKAGE).__all__)}
    todo = [import_module(room) for room in rooms()]
    while todo:
        module = todo.pop(0)
        found[module.__name__] = list(module.__all__)
        offered = (getattr(module, name) for name in module.__all__)
        todo.extend(thing for thing in offered if isinstance(thing, ModuleType))
    return {PACKAGE: found.pop(PACKAGE)} | dict(sorted(found.items()))


def comment(lines: list[str], node: ast.stmt) -> str:
    """What stands beside an assignment, at its first or last line, or right above it; empty where nothing does."""
    for number in dict.fromkeys((node.lineno, node.end_lineno or node.lineno)):
        code, mark, text = lines[number - 1].rpartition("  # ")
        if mark and code.strip():
            return text.strip()
    above = []
    for line in reversed(lines[: node.lineno - 1]):
        if not line.strip().startswith("# "):
            break
        above.append(line.strip().removeprefix("# "))
    return " ".join(reversed(above))
