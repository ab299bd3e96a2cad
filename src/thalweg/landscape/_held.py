"""What a module holds beside its parameters and buffers: found, and put back as it was after a forward pass."""

from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

OWN = ("_parameters", "_buffers", "_modules")  # torch's own tables, which it puts back itself
NUMBERS = (str, bytes, int, float, complex, type(None))  # of which a list may hold millions
PLAIN = (
    *NUMBERS, type, Tensor, np.ndarray, torch.dtype, torch.device,
    FunctionType, BuiltinFunctionType, ModuleType,
)  # fmt: skip
SERIES = (list, tuple, set, frozenset, deque)
CHANGING = (list, set, deque, dict, OrderedDict, defaultdict)
ABSENT = object()

Place = tuple[Any, str, bool]  # an object, the name of an attribute, whether what that holds was written to in place
Seen = list[tuple[Any, dict[str, tuple[Any, Any]]]]  # objects, with their attributes and copies of these


def things(module: nn.Module) -> Iterator[tuple[str, Any]]:
    """Each object that a copy of the module would have to copy, once, with its place in words: outer ones first."""
    known: set[int] = set()
    waiting: list[tuple[str, Any]] = [("", module)]
    while waiting:
        path, thing = waiting.pop()
        if id(thing) in known:
            continue
        known.add(id(thing))
        yield path, thing
        waiting.extend(reversed(list(_inside(path, thing))))


def _inside(path: str, thing: Any) -> Iterator[tuple[str, Any]]:
    """The parts of one object."""
    dot = f"{path}." if path else ""
    if isinstance(thing, PLAIN):
        return
    if isinstance(thing, SERIES):
        yield from ((f"{path}[{i}]", part) for i, part in enumerate(thing) if not isinstance(part, NUMBERS))
    elif isinstance(thing, dict):
        yield from ((f"{path}[{key!r}]", part) for key, part in thing.items() if not isinstance(part, NUMBERS))
    elif isinstance(thing, MethodType):
        yield f"{dot}__self__", thing.__self__
    elif isinstance(thing, partial):
        yield from ((f"{path}()", part) for part in (thing.func, thing.args, thing.keywords))
    elif isinstance(thing, nn.Module):
        yield from ((f"{dot}{name}", child) for name, child in thing._modules.items())
    if isinstance(thing, nn.Module) or _copied_by_parts(thing):
        yield from ((f"{dot}{name}", part) for name, part in vars(thing).items() if name not in OWN)


def _copied_by_parts(thing: Any) -> bool:
    """Whether its class leaves copying and pickling to Python, which takes attributes one by one."""
    kind, own = type(thing), ("__reduce__", "__reduce_ex__", "__getstate__")
    if not isinstance(getattr(thing, "__dict__", None), dict):
        return False
    return all(getattr(kind, name) is getattr(object, name) for name in own) and not hasattr(kind, "__deepcopy__")


def seen(module: nn.Module) -> Seen:
    """All attributes of the module and of what it holds, as they are."""
    owners = [thing for _, thing in things(module) if not isinstance(thing, PLAIN) and hasattr(thing, "__dict__")]
    return [(owner, {name: (part, _kept(part)) for name, part in vars(owner).items()}) for owner in owners]


def changed(before: Seen) -> tuple[Place, ...]:
    """Attributes that are others since, or hold other things."""
    places = []
    for owner, attributes in before:
        now = vars(owner)
        for name in [*attributes, *(name for name in now if name not in attributes)]:
            part, held = attributes.get(name, (ABSENT, ABSENT))
            if name not in OWN and (now.get(name, ABSENT) is not part or not _holds(part, held)):
                places.append((owner, name, now.get(name, ABSENT) is part))
    return tuple(places)


def put_back(before: Seen, places: tuple[Place, ...]) -> None:
    """Make attributes what they were."""
    known = {id(owner): attributes for owner, attributes in before}
    for owner, name, within in places:
        part, held = known[id(owner)].get(name, (ABSENT, ABSENT))
        _set(owner, name, held if within else part)


@contextmanager
def untouched(module: nn.Module) -> Iterator[None]:
    """Forward passes of which the module's attributes know nothing afterwards."""
    before = seen(module)
    try:
        yield
    finally:
        put_back(before, changed(before))


class Scratch:
    """Attributes that a forward pass writes: a block that runs one leaves them as they were before it."""

    def __init__(self, places: tuple[Place, ...]) -> None:
        self.before = [(owner, name, vars(owner).get(name, ABSENT), within) for owner, name, within in places]

    def __enter__(self) -> None:
        for owner, name, part, within in self.before:
            if within:
                _set(owner, name, _kept(part))

    def __exit__(self, *_: object) -> None:
        for owner, name, part, _within in self.before:
            _set(owner, name, part)


def _set(owner: Any, name: str, part: Any) -> None:
    """An attribute by its name, past what its class does with it."""
    if part is ABSENT:
        vars(owner).pop(name, None)
    else:
        vars(owner)[name] = part


def _kept(part: Any) -> Any:
    """A copy of what can be written to in place."""
    if _is_plain(part):
        return part.clone() if part.requires_grad and not part.is_leaf else part.detach().clone()
    return copy(part) if type(part) in CHANGING else part


def _holds(part: Any, before: Any) -> bool:
    """Whether an object holds what its copy holds."""
    if type(part) in CHANGING and isinstance(part, dict):
        return list(part) == list(before) and all(before[key] is value for key, value in part.items())
    if type(part) in CHANGING:
        return len(part) == len(before) and all(a is b for a, b in zip(part, before, strict=True))
    return not _is_plain(part) or torch.equal(part.nan_to_num(), before.nan_to_num())


def _is_plain(part: Any) -> bool:
    """Whether it is an array of numbers that can be copied and compared."""
    return type(part) is Tensor and part.layout == torch.strided and not (part.is_meta or part.is_quantized)
