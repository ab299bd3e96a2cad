"""What a result belongs to, as a hash: weights, buffers, data, loss, module, settings."""

import functools
import hashlib
import inspect
import json
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from thalweg.errors import InputError
from thalweg.landscape import Data, Landscape, ModuleLosses, PotentialLosses
from thalweg.tree import leaves, structure_of
from thalweg.types import Params


def digest(*parts: Any) -> str:
    """SHA-256 of JSON-able parts, 24 hexadecimal digits."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]


def of_tensors(tensors: Params) -> str:
    """Hash of named tensors: names, types, shapes, bytes."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        w = tensors[name].detach().cpu().contiguous()
        total.update(json.dumps([name, str(w.dtype), list(w.shape)]).encode())
        total.update(w.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()[:24]


def of_data(data: Data | None) -> str:
    """Hash of a data set; of its structure as well as its bytes."""
    if data is None:
        return "none"
    structure = structure_of(data.inputs)
    named = {f"input {i}": t for i, t in enumerate(leaves(data.inputs))}
    return digest(structure, of_tensors(named | {"targets": data.targets}))


def of_checkpoint(scape: Landscape) -> str:
    """Hash of everything that belongs to one checkpoint."""
    return of_tensors(scape.params | scape.frozen)


def of_landscape(scape: Landscape) -> str:
    """Hash of what all checkpoints of a survey share: module, loss, data, n, restriction.

    Raises:
        InputError: a lambda, closure or class without source, and no `name=`.
    """
    restriction = scape.restriction
    kind = [restriction.kind] if restriction.tilted else []  # the two older kinds are told apart below
    return digest(
        _of_losses(scape),
        of_data(scape.data),
        scape.n,
        scape.engine,
        [list(scape.params), list(scape.frozen)],
        of_tensors(restriction.masks or {}),
        restriction.orthogonal_to_gradient,
        of_tensors(restriction.localization or {}),
        scape.name,
        *kind,
    )


def of_addition(call: Callable, what: str, name: str | None) -> list[Any]:
    """Identity of a function from outside: its own, and the whole file that it is in, with all that helps it there.

    Args:
        call: the function.
        what: for messages.
        name: that stands for what has no source, or None.

    Raises:
        InputError: a lambda, closure or object, and no name.
    """
    home, own = inspect.getmodule(call), _of_callable(call, what, name)
    script = home is None or home.__name__ == "__main__"  # changes for many other reasons
    return [own, "" if script else _source(home, what, name)]


def _of_losses(scape: Landscape) -> list[Any]:
    """Identity of the loss function and of the module behind it."""
    if isinstance(scape.losses, ModuleLosses):
        module, loss = scape.losses.module, scape.losses.loss.given
        return ["module", _of_module(module, scape.name), _of_callable(loss, "loss", scape.name)]
    if isinstance(scape.losses, PotentialLosses):
        return ["potential", _of_callable(scape.losses.fn, "potential", scape.name)]
    return ["losses", _of_callable(scape.losses, "losses", scape.name)]


def _of_module(module: nn.Module, name: str | None) -> list[Any]:
    """Structure of a module, and the source of every class in it that torch did not write."""
    kinds = sorted({type(m) for m in module.modules()}, key=lambda k: (k.__module__, k.__qualname__))
    return [repr(module), [_of_class(kind, name) for kind in kinds]]


def _of_class(kind: type, name: str | None) -> list[str]:
    """A class by qualified name and source; torch's by name and version."""
    if kind.__module__.split(".")[0] == "torch":
        return [kind.__module__, kind.__qualname__, torch.__version__]
    return [kind.__qualname__, _source(kind, f"module class {kind.__qualname__}", name)]


def _of_callable(call: Callable, what: str, name: str | None) -> list[Any]:
    """A function by module, qualified name and source."""
    if isinstance(call, functools.partial):
        return ["partial", _of_callable(call.func, what, name), repr(call.args), repr(sorted(call.keywords.items()))]
    if isinstance(call, nn.Module):
        held = {k: v for k, v in call.state_dict().items() if isinstance(v, Tensor)}
        return [_of_module(call, name), of_tensors(held)]
    qualified = getattr(call, "__qualname__", type(call).__qualname__)
    home = getattr(call, "__module__", "") or ""
    if home.split(".")[0] == "torch":
        return [home, qualified, torch.__version__]
    closed = bool(getattr(call, "__closure__", None)) or "<lambda>" in qualified or "__code__" not in dir(call)
    if closed and name is None:
        raise InputError(
            f"{what} {qualified} is a lambda, a closure or an object: its source does not identify it, give"
            " tw.landscape(..., name=...) or make it a plain function"
        )
    return [qualified, _source(call, f"{what} {qualified}", name)]


def _source(thing: Any, what: str, name: str | None) -> str:
    """Source text, or nothing where a name stands for it."""
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError) as error:
        if name is not None:
            return ""
        raise InputError(f"{what} has no source to identify it: give tw.landscape(..., name=...)") from error
