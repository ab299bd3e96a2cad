"""Whether data suit the module and its loss: types of numbers, and numbers that are none.

A remedy is only named that was tried on the first samples and mends it.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.landscape._arrays import type_of
from thalweg.landscape._passes import ModuleLosses
from thalweg.landscape._targets import CALLS, check_neighbours, check_targets, keeps
from thalweg.landscape.data import Data
from thalweg.landscape.landscape import Landscape
from thalweg.tree import leaves, rebuild
from thalweg.types import Tree

FEW = 3  # samples with which types and shapes are tried
ROWS = 1024  # samples a pass


def check_data(scape: Landscape, data: Data) -> None:
    """Refuse data that the module or the loss cannot take, or would take for something else.

    Args:
        scape: its losses are a module's, and a loss of the module's outputs and the targets.
        data: its own, or test data.

    Raises:
        InputError: types of numbers, with the call that mends them; outputs and targets that would be broadcast;
            labels that are no class and samples without a finite loss, with their number.
        Exception: what the module or the loss raises where none of these is the reason.
    """
    head = data.head(FEW)
    with torch.no_grad():
        try:
            outputs = _outputs(scape, head)
        except Exception:
            _refuse_inputs(scape, data)
            raise
        if isinstance(outputs, Tensor) and outputs.ndim:
            assert isinstance(scape.losses, ModuleLosses)
            check_targets(scape.losses.loss, outputs, data)
            check_neighbours(scape.losses.loss, outputs, data)
        _check_numbers(scape, data)


def _outputs(scape: Landscape, data: Data) -> Any:
    """What the module gives the loss."""
    kept: list[Any] = []

    def keep(outputs: Any, targets: Tensor) -> Tensor:
        kept.append(outputs)
        return targets

    losses: Any = scape.losses
    replace(losses, loss=keep)(scape.params, scape.frozen, data.inputs, data.targets)
    return kept[0]


def _refuse_inputs(scape: Landscape, data: Data) -> None:
    """Say which inputs want another type, where the module then takes them."""
    own = scape.layout.dtype
    named, given = _names(data.inputs, "inputs"), leaves(data.inputs)
    for casts in _casts(given, own):
        parts = [t.to(casts.get(k, t.dtype)) for k, t in enumerate(leaves(data.head(FEW).inputs))]
        try:
            _outputs(scape, Data(rebuild(data.inputs, parts), data.head(FEW).targets))
        except Exception:
            continue  # another cast is tried; the first error is raised in the end
        told = ", ".join(f"{named[k]} are {type_of(given[k].dtype)}" for k in casts)
        wanted = ", ".join(f"{named[k]}{CALLS[to]}" for k, to in casts.items())
        if torch.int64 in casts.values():
            raise InputError(f"{told}, the module takes whole numbers, int64: give {wanted}")
        other = {type_of(given[k].dtype) for k in casts} & {"float32", "float64"}
        turned = f", or module{CALLS[getattr(torch, other.pop())]}" if len(other) == 1 else ""
        raise InputError(f"{told}, the module's weights {type_of(own)}: give {wanted}{turned}")
    for name, t in zip(named, given, strict=True):
        if t.is_complex():
            raise InputError(
                f"{name} are {type_of(t.dtype)}, the module's weights {type_of(own)}: give real numbers,"
                f" torch.view_as_real({name}) or {name}.abs()"
            )


def _casts(given: list[Tensor], own: torch.dtype) -> Iterator[dict[int, torch.dtype]]:
    """Casts of inputs that lose nothing but digits: one input, then all that are not of the weights' type."""
    every: dict[int, torch.dtype] = {}
    for k, t in enumerate(given):
        for dtype in (torch.int64, own):
            if t.dtype != dtype and keeps(t, dtype):
                yield {k: dtype}
                if dtype == own:
                    every[k] = dtype
    if len(every) > 1:
        yield {k: dtype for k, dtype in every.items() if given[k].is_floating_point()}
        yield every


def _check_numbers(scape: Landscape, data: Data) -> None:
    """Samples that hold NaN or infinity have a finite loss, as masks have."""
    named = [*_names(data.inputs, "inputs"), "targets"]
    for name, t in zip(named, [*leaves(data.inputs), data.targets], strict=True):
        if not (t.is_floating_point() or t.is_complex()):
            continue
        odd = _odd(t)[:ROWS]
        if not len(odd):
            continue
        losses = scape.losses(scape.params, scape.frozen, *data.take(odd))
        lost = ~torch.isfinite(losses.reshape(len(odd), -1)).all(1)
        if bool(lost.any()):
            i = int(odd[int(lost.nonzero()[0])])
            word = "NaN" if bool(t[i].isnan().any()) else "infinity"
            raise InputError(
                f"{name} of sample {i} hold {word}, and its loss is not finite: mend that sample, or leave it out"
            )


def _odd(tensor: Tensor) -> Tensor:
    """The samples that hold a number that is not finite, looked for by parts."""
    parts = [(~torch.isfinite(part.reshape(len(part), -1))).any(1) for part in tensor.split(ROWS)]
    return torch.cat(parts).nonzero().reshape(-1)


def _names(tree: Tree, name: str) -> list[str]:
    """The tensors of a tree by their places in it."""
    if isinstance(tree, dict):
        return [found for key, part in tree.items() for found in _names(part, f"{name}[{key!r}]")]
    if isinstance(tree, tuple | list):
        return [found for k, part in enumerate(tree) for found in _names(part, f"{name}[{k}]")]
    return [name]
