"""Things that a command line names: objects in Python files, amounts of memory."""

import importlib.util
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import cloudpickle
from torch import nn
from torch.nn.parameter import is_lazy

from thalweg.errors import InputError, guarded, shown
from thalweg.landscape import KINDS, Kind, Landscape, landscape
from thalweg.samplers import check_memory

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30}
MEND = "mend the file"


def from_file(text: str, what: str) -> Any:
    """The object that `FILE.py:NAME` names.

    Raises:
        InputError: no such file or name, or the file fails when it is run.
    """
    file, _, name = text.rpartition(":")
    if not file.endswith(".py") or not name:
        raise InputError(f"{what} {text!r} is not of the form FILE.py:NAME: name a Python file and an object in it")
    module = _run(Path(file), what)
    with guarded(f"{what}: {file}: looking for {name!r}", MEND):
        if hasattr(module, name):
            return getattr(module, name)
    raise InputError(f"{what}: {file} has no {name!r}: name an object that the file defines")


def built(thing: Any, what: str) -> Any:
    """An object as it is, or what a class or function of no arguments makes."""
    with guarded(f"{what} {_title(thing)}", MEND):
        if not callable(thing) or (hasattr(thing, "forward") and not isinstance(thing, type)):
            return thing
    with guarded(f"{what} {_title(thing)}()", MEND):
        return thing()


def _title(thing: Any) -> str:
    """The name of a class or function, as it may stand in a message."""
    name = getattr(thing, "__name__", "") if isinstance(thing, type | FunctionType) else ""
    return shown(name) if isinstance(name, str) and name else f"of type {shown(type(thing).__name__)}"


def scape(
    whole: str | None,
    parts: dict[str, str | None],
    *,
    n: int | None = None,
    name: str | None = None,
    memory: int | None = None,
) -> Landscape:
    """The landscape that `whole` names as `FILE.py:NAME`, or that of the parts `model`, `data` and `loss`.

    Raises:
        InputError: both given, or neither; no landscape there; a module that needs more than that memory.
    """
    given = [part for part, text in parts.items() if text is not None]
    if whole is not None:
        if given or n is not None:
            also = [*given, *(["n"] if n is not None else [])]
            raise InputError(f"landscape {whole} and --{also[0]}: a landscape has its own, leave --{also[0]} out")
        made = built(from_file(whole, "landscape"), "landscape")
        if not isinstance(made, Landscape):
            raise InputError(
                f"landscape {whole} is a {type(made).__name__}: name what tw.landscape or tw.potential made"
            )
        return made if name is None else replace(made, name=name)
    if len(given) < len(parts):
        lacking = ", ".join(f"--{part}" for part in parts if part not in given)
        raise InputError(f"no landscape: give {lacking}, or --landscape FILE.py:NAME in place of all three")
    model, data, chosen = (parts[part] or "" for part in ("model", "data", "loss"))
    module = built(from_file(model, "model"), "model")
    _check_size(module, memory)
    samples = built(from_file(data, "data"), "data")
    loss = from_file(chosen, "loss") if ":" in chosen else chosen
    with guarded("model, data and loss"):
        return landscape(module, samples, loss, n=n, name=name)


def _check_size(module: Any, memory: int | None) -> None:
    """Refuse a module that is too large before it is copied."""
    if not isinstance(module, nn.Module):
        return  # said by `landscape`
    moving = [w for w in module.parameters() if w.requires_grad and not is_lazy(w)]
    held = [w for w in (*module.parameters(), *module.buffers()) if not is_lazy(w)]
    item = max((w.element_size() for w in moving), default=0)
    check_memory(sum(w.numel() for w in moving), item, sum(w.nbytes for w in held), memory)


def kind(text: str | None, orthogonal: bool) -> Kind | None:
    """The kind of point that `--kind` or its short form `--orthogonal` asks for; None where neither does.

    Raises:
        InputError: no kind, or another than the short form's.
    """
    found: Kind | None = next((known for known in KINDS if known == text), None)
    if text is not None and found is None:
        raise InputError(f"kind {shown(text)}: give one of {', '.join(KINDS)}")
    if orthogonal and found not in (None, "orthogonal"):
        raise InputError(f"--kind {found} and --orthogonal are two kinds of point: leave one of them out")
    return "orthogonal" if orthogonal else found


def amount(text: str | None) -> int | None:
    """Bytes of `1GiB`, `500MB`, `2e9`.

    Raises:
        InputError: no amount of memory.
    """
    if text is None:
        return None
    found = re.fullmatch(r"\s*([0-9.]+(?:e[0-9]+)?)\s*([KMG]I?)?B?\s*", text, re.IGNORECASE)
    if found is None or found[1].count(".") > 1 or found[1] == ".":
        raise InputError(f"memory {text!r} is no amount: write 1GiB or 500MB")
    return int(float(found[1]) * UNITS[(found[2] or "").upper()])


def _run(file: Path, what: str) -> ModuleType:
    """Run a Python file as a module of its own, whose contents reach worker processes by value."""
    with guarded(f"{what}: {file}", "give the path of a Python file"):
        place = file.resolve()
        if file.is_dir():
            raise InputError(f"{what}: {file} is a folder: give the path of a Python file")
        if not file.is_file():
            raise InputError(f"{what}: no file {file}: give the path of a Python file")
    name = f"_thalweg_file_{file.stem}"
    if name in sys.modules and getattr(sys.modules[name], "__file__", None) == str(place):
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(place.parent))
    try:
        with guarded(f"{what}: {file}", MEND):
            spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    cloudpickle.register_pickle_by_value(module)
    return module
