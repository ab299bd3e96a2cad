"""Is the gradient the loss's? What autograd gives, held against differences of the loss.       D weights

At draws of the size that a posterior's have, along random directions of all weights at once. Weights that the loss
depends on and that have no gradient (a padding row, behind a detach) would wander on their tether alone, and the
estimate would count what that costs: they are held at w*. A gradient that is there and is another function's (a
straight-through estimator, a hook, a wrong backward pass) is refused. Both are looked for in halves of halves.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from thalweg.errors import InputError, shown
from thalweg.landscape.differences import Differences
from thalweg.landscape.landscape import Landscape

DRAWS = 3  # a fault shows at two of them at least
FINE, COARSE = 1e-5, 0.05  # step in units of a draw: over sqrt(D) in float64, where kinks are rare; in float32
SURE = 3.0  # times what kinks, curvature and rounding explain
SHARE = {True: 1e-6, False: 1e-3}  # rounding of the gradient itself, of the sum over parameters
NATS = 1e-4  # change of nbeta L along a draw that matters


@dataclass(frozen=True, eq=False)
class Seen:
    """One draw, and a direction from it.

    Attributes:
        at: (D,) weights.
        losses: (B,) there.
        gradient: (D,) by autograd.
        way: (D,) direction.
        slope: gradient . way.
        error: by how much the loss changes otherwise, per unit of the direction.
        doubt: what kinks, curvature and rounding explain of it.
    """

    at: Tensor
    losses: Tensor
    gradient: Tensor
    way: Tensor
    slope: float = 0.0
    error: float = 0.0
    doubt: float = float("inf")

    @property
    def wrong(self) -> bool:
        """Whether the gradient is another function's."""
        return abs(self.error) > self.doubt


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
    if hasattr(scape.losses, "gradients") or getattr(scape.losses, "in_the_mean", False):
        return scape
    try:
        near = Differences(scape)
        seen = [found for k in range(DRAWS) if (found := _drawn(near, k)) is not None]
    except InputError:
        raise
    except Exception:  # what fails here fails where all samples are read, and is named there
        return scape
    if len(seen) < 2:
        return scape
    silent = near.open & torch.stack([one.gradient == 0 for one in seen]).all(0)
    seen = [_compared(near, one, silent) for one in seen]
    if sum(one.wrong for one in seen) > 1:
        worst = max((one for one in seen if one.wrong), key=lambda one: abs(one.error) / one.doubt)
        raise InputError(_refusal(scape, _guilty(near, worst), worst))
    held = _held(near, seen, silent) if silent.any() else silent
    return _restricted(scape, held) if held.any() else scape


def _drawn(near: Differences, k: int) -> Seen | None:
    """A draw with its gradient; None where the loss is not finite."""
    at = near.center + near.sigma * near.noise("draw", k)
    losses, gradient = near.graded(at)
    if not (losses.isfinite().all() and gradient.isfinite().all()):
        return None
    way = near.sigma * near.noise("direction", k)
    parts = []
    for start, size in _places(near.scape):
        own = slice(start, start + size)
        nats = near.nbeta * (near.sigma[own] * gradient[own]).norm()
        parts.append(way[own] / (1 + nats))  # so that no steep parameter hides the others
    return Seen(at, losses, gradient, torch.cat(parts))


def _compared(near: Differences, one: Seen, silent: Tensor) -> Seen:
    """Central difference along the draw's direction, against autograd, over all that has a gradient."""
    way = one.way * ~silent
    step = _step(near)
    ahead, behind = near.losses(one.at + step * way), near.losses(one.at - step * way)
    if not (ahead.isfinite().all() and behind.isfinite().all()):
        return one
    each = [float((one.gradient[s : s + n] * way[s : s + n]).sum()) for s, n in _places(near.scape)]
    slope, change = sum(each), float((ahead - behind).sum()) / (2 * step)
    bent = float((ahead - 2 * one.losses + behind).abs().sum()) / (2 * step)
    doubt = SURE * bent + _rounding(near, one, step) + SHARE[near.fine] * sum(map(abs, each))
    return replace(one, way=way, slope=slope, error=change - slope, doubt=doubt)


def _step(near: Differences) -> float:
    return FINE / max(len(near.center), 100) ** 0.5 if near.fine else COARSE


def _rounding(near: Differences, one: Seen, step: float) -> float:
    """Of a difference quotient; a nat is what internal numbers are made of."""
    return near.rounding * (float(one.losses.abs().sum()) + 1) / step


def _places(scape: Landscape) -> list[tuple[int, int]]:
    """Start and size of each parameter in the flat vector."""
    sizes = scape.layout.sizes
    return [(sum(sizes[:k]), size) for k, size in enumerate(sizes)]


def _guilty(near: Differences, one: Seen) -> list[str]:
    """Names of parameters whose gradient is wrong: halves of halves, as far as the passes reach."""
    names, places, step = near.scape.layout.names, _places(near.scape), _step(near)
    groups, done = [(0, len(names), one.error)], []
    while groups and near.left > 0:
        low, high, error = groups.pop(0)
        if high - low == 1:
            done.append((low, high))
            continue
        middle = (low + high) // 2
        start, end = places[low][0], sum(places[middle - 1])
        way = torch.zeros_like(one.way)
        way[start:end] = one.way[start:end]
        change = float((near.losses(one.at + step * way) - one.losses).sum()) / step
        first = change - float((one.gradient * way).sum())
        halves = [(low, middle, first), (middle, high, error - first)]
        kept = [half for half in halves if abs(half[2]) > one.doubt]
        groups += kept
        if not kept:
            done.append((low, high))
    found = sorted(done + [group[:2] for group in groups])
    return [names[k] for low, high in found for k in range(low, high)]


def _refusal(scape: Landscape, names: list[str], one: Seen) -> str:
    """Why, and what to do."""
    others = [name for name in scape.layout.names if name not in names]
    remedy = "sample the others by landscape.restrict" if others else "give a loss whose gradient is its own"
    return (
        f"the gradient of {_few(names)} is not the loss's: along one direction autograd says {one.slope:.3g}, the"
        f" loss {one.slope + one.error:.3g} (a detach, a hook, a straight-through estimator, a wrong backward pass):"
        f" {remedy}"
    )


def _held(near: Differences, seen: list[Seen], silent: Tensor) -> Tensor:
    """(D,) bool: which of the silent weights the loss depends on."""
    step = _step(near)
    held = torch.zeros_like(silent)
    if all(_depends(near, one, silent, step) for one in seen[:2]):
        held = _responsible(near, seen[0], silent, step)
    return held


def _depends(near: Differences, one: Seen, group: Tensor, step: float) -> bool:
    """Whether the loss of some sample changes along a step of these weights alone."""
    if near.left <= 0:
        return True
    way = near.sigma * near.noise("silent") * group
    moved = (near.losses(one.at + step * way) - one.losses).abs().sum().item() / step
    return moved > max(_rounding(near, one, step), NATS / near.nbeta)


def _responsible(near: Differences, one: Seen, silent: Tensor, step: float) -> Tensor:
    """Halves of halves of rows of parameters; what the passes do not reach is held too."""
    where = silent.nonzero()[:, 0]
    parameter, unit = _units(near.scape, where)
    held, groups = torch.zeros_like(silent), [(0, int(unit[-1]) + 1)]
    while groups:
        low, high = groups.pop(0)
        inside = (unit >= low) & (unit < high)
        group = torch.zeros_like(silent)
        group[where[inside]] = True
        if high - low == 1 or near.left <= 0:
            held |= group
            continue
        cut = _cut(unit[inside], parameter[inside], low, high)
        first = torch.zeros_like(silent)
        first[where[inside & (unit < cut)]] = True
        if not _depends(near, one, first, step):
            groups.append((cut, high))
            continue
        groups.append((low, cut))
        if _depends(near, one, group & ~first, step):
            groups.append((cut, high))
    return held


def _units(scape: Landscape, where: Tensor) -> tuple[Tensor, Tensor]:
    """Of each silent weight its parameter, and what is held together: a parameter without gradient, else a row."""
    places = _places(scape)
    parameter, row = torch.zeros_like(where), torch.zeros_like(where)
    for k, ((start, size), shape) in enumerate(zip(places, scape.layout.shapes, strict=True)):
        mine = (where >= start) & (where < start + size)
        parameter[mine] = k
        if int(mine.sum()) < size and size:
            row[mine] = (where[mine] - start) // max(size // shape[0], 1)
    both = torch.stack([parameter, row])
    return parameter, torch.unique_consecutive(both, dim=1, return_inverse=True)[1]


def _cut(unit: Tensor, parameter: Tensor, low: int, high: int) -> int:
    """Where to halve: between two parameters where there are several, in the middle of the rows else."""
    middle = (low + high) // 2
    borders = unit[1:][parameter[1:] != parameter[:-1]]
    return int(borders[(borders - middle).abs().argmin()]) if len(borders) else middle


def _restricted(scape: Landscape, held: Tensor) -> Landscape:
    """The landscape with these weights at w*."""
    masks = {k: ~h for k, h in scape.layout.unflatten(held).items() if h.any()}
    names = tuple(_named(k, ~m) for k, m in masks.items())
    whole = scape.mask
    if bool((held if whole is None else held | (whole == 0)).all()):
        raise InputError(
            f"the loss depends on {_few(list(names))}, and autograd gives no parameter a gradient: compute it by"
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
    word = "row" if held.ndim > 1 else "entry"
    plural = {"row": "rows", "entry": "entries"}[word]
    if len(full) == 1:
        return f"{shown(name)}, {word} {full[0]}"
    if full[-1] - full[0] == len(full) - 1:
        return f"{shown(name)}, {plural} {full[0]} to {full[-1]}"
    rest = f" and {len(full) - 5} more" if len(full) > 5 else ""
    return f"{shown(name)}, {plural} {', '.join(map(str, full[:5]))}{rest}"


def _few(names: list[str]) -> str:
    """At most five names."""
    return ", ".join(map(shown, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
