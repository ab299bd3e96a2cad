"""Tensors of a checkpoint in the places of a module's: only floats become floats, and no number is lost."""

import torch
from torch import Tensor

from thalweg.errors import InputError, shown
from thalweg.landscape._arrays import same, type_of
from thalweg.tree import check_plain
from thalweg.types import Params

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)  # fewer bits are scaled elsewhere


def by_own_names(state: Params, aliases: dict[str, str]) -> Params:
    """A state dict with each tied parameter once.

    Args:
        state: {name: tensor}.
        aliases: other names of tied parameters, each with the name that stands for it.

    Raises:
        InputError: two names of one parameter that hold different numbers.
    """
    found: Params = {}
    for name, given in state.items():
        check_plain(name, given)
        own = aliases.get(name, name)
        if own in found and not same(found[own], given):
            raise InputError(
                f"{shown(own)} and {shown(name)} are one parameter, their weights differ: save one of them"
            )
        found[own] = given
    return found


def fitted(name: str, known: Tensor, given: Tensor) -> Tensor:
    """One tensor of a checkpoint, in our type and place.

    Floats are rounded to floats; whole numbers and bools are kept as they are.

    Raises:
        InputError: another shape, another kind of number, one that our type cannot hold.
    """
    if given.shape != known.shape:
        raise InputError(
            f"weights of {shown(name)!r} have shape {_shape(given)}, the module {_shape(known)}: build the"
            " module that was trained"
        )
    if given.dtype == known.dtype:
        return given.detach().to(known)
    types = f"weights of {shown(name)!r} are {type_of(given.dtype)}, the module's {type_of(known.dtype)}"
    if _kind(given.dtype) != _kind(known.dtype):
        raise InputError(f"{types}: save the weights that were trained, as the module has them")
    found = given.detach().to(known)
    back = found.to(given)  # the same number, or rounded; an infinity that was none has no room
    lost = back != given if _kind(known.dtype) == "whole" else given.isfinite() & ~found.isfinite().to(given.device)
    if bool(lost.any()):
        raise InputError(f"{types}, which cannot hold them: build the module in {type_of(given.dtype)}")
    return found


def _kind(dtype: torch.dtype) -> str:
    """Numbers among which one may be taken for another, bit widths apart."""
    if dtype.is_floating_point or dtype.is_complex:
        return "float" if dtype in FLOATS else "complex" if dtype.is_complex else str(dtype)
    return "whole"


def _shape(tensor: Tensor) -> str:
    """Its shape, short."""
    return str(tuple(tensor.shape))[:200]


def check_weights(params: Params, frozen: Params) -> None:
    """Refuse weights that are not finite; what is frozen may hold infinities, as masks do.

    Raises:
        InputError: the first name that holds such a number.
    """
    for name, w in (params | frozen).items():
        if (w.is_floating_point() or w.is_complex()) and bool(
            w.isnan().any() if name in frozen else not w.isfinite().all()
        ):
            raise InputError(f"weights of {shown(name)!r} hold NaN or infinity: the run had diverged, leave them out")


def few(names: list[str], most: int) -> str:
    """At most so many names."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(shown, names[:most])) + more if names else "none"
