"""Is the gradient the loss's? What autograd gives, held against differences of the loss.       D weights

At draws of the size that a posterior's have, along random directions of all weights at once. Weights that the loss
depends on and that have no gradient (a padding row, behind a detach) would wander on their localization alone, and
the estimate would count what that costs: they are held at w*. A gradient that is there and is another function's (a
straight-through estimator, a hook, a wrong backward pass) is refused. Both are looked for in halves of halves.
"""

import warnings
from dataclasses import replace

import torch
from torch import Tensor

from thalweg.errors import InputError, shown
from thalweg.landscape._differences import Differences, Seen, compared, drawn
from thalweg.landscape._fit import few
from thalweg.landscape._halving import depended, guilty
from thalweg.landscape.landscape import Landscape

DRAWS = 3  # a fault shows at two of them at least


def checked_gradients(scape: Landscape) -> Landscape:
    """Hold what the loss depends on and has no gradient; refuse a gradient that is not the loss's.

    Losses that give their gradients themselves, and those whose gradient is right in the mean alone, are left as
    they are. At most 24 forward passes of at most 256 samples.

    Args:
        scape: at the w* around which it is to be sampled.

    Returns:
        The same landscape where all is well; else with masks, and a name for each that it holds, in
        `restriction.held`.

    Raises:
        InputError: parameters whose gradient is another function's; no parameter has one.
    """
    if scape.losses.own_gradients or scape.losses.in_the_mean:
        return scape
    try:
        held = _found(scape, Differences(scape))
    except InputError:
        raise
    except Exception:  # of the module: what fails here fails where all samples are read, and is named there
        return scape
    return _restricted(scape, held) if held.any() else scape


def _found(scape: Landscape, near: Differences) -> Tensor:
    """(D,) bool, what is to be held."""
    seen, silent = [], near.open
    for number in range(DRAWS):
        found = drawn(near, number)
        if found is not None:
            seen.append(found[0])
            silent = silent & found[1]
    if len(seen) < 2:  # the loss is not finite at draws
        return torch.zeros_like(near.open)
    seen = [compared(near, one, silent) for one in seen]
    wrong = [one for one in seen if one.wrong]
    if len(wrong) > 1:
        worst = max(wrong, key=lambda one: abs(one.error) / one.doubt)
        raise InputError(_refusal(scape, *guilty(near, worst), worst))
    return depended(near, seen, silent) if silent.any() else silent


def said(scape: Landscape) -> str:
    """What a landscape holds by itself, in a sentence; empty where it holds nothing."""
    names = "; ".join(scape.restriction.held)
    return f"held at w*: {names}: the loss depends on it, autograd gives it no gradient" if names else ""


def announce(before: Landscape, after: Landscape) -> None:
    """Warn, at the caller of the function that calls this, of what was not held before."""
    if after.restriction.held != before.restriction.held:
        warnings.warn(said(after), stacklevel=3)


def _refusal(scape: Landscape, names: list[str], each: bool, one: Seen) -> str:
    """Why, and what to do."""
    rest, slope = set(scape.layout.names) - set(names), sum(one.slopes)
    remedy = "sample the others by landscape.restrict" if rest else "give a loss whose gradient is its own"
    return (
        f"the gradient of {'' if each else 'some of '}{few(names, 5)} is not the loss's: along one direction autograd"
        f" says {slope:.3g}, the loss {slope + one.error:.3g} (a detach, a hook, a straight-through estimator, a"
        f" wrong backward pass): {remedy}"
    )


def _restricted(scape: Landscape, held: Tensor) -> Landscape:
    """The landscape with these weights at w*."""
    masks = {k: ~h for k, h in scape.layout.unflatten(held).items() if h.any()}
    names = tuple(_named(k, ~m) for k, m in masks.items())
    whole = scape.mask
    if bool((held if whole is None else held | (whole == 0)).all()):
        raise InputError(
            f"the loss depends on {few(list(names), 5)}, and autograd gives no parameter a gradient: compute it by"
            " torch, without detach or no_grad"
        )
    found = scape.restrict(masks=masks)
    return replace(found, restriction=replace(found.restriction, held=(*scape.restriction.held, *names)))


def _named(name: str, held: Tensor) -> str:
    """A parameter, or its rows."""
    if held.all():
        return shown(name)
    rows = held.reshape(len(held), -1)
    full = rows.all(1).nonzero()[:, 0].tolist()
    if int(rows.sum()) > len(full) * rows.shape[1]:
        return f"{int(rows.sum())} weights of {shown(name)}"
    word, plural = ("row", "rows") if held.ndim > 1 else ("entry", "entries")
    if len(full) == 1:
        return f"{shown(name)}, {word} {full[0]}"
    if full[-1] - full[0] == len(full) - 1:
        return f"{shown(name)}, {plural} {full[0]} to {full[-1]}"
    rest = f" and {len(full) - 5} more" if len(full) > 5 else ""
    return f"{shown(name)}, {plural} {', '.join(map(str, full[:5]))}{rest}"
