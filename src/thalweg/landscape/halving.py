"""Which weights are to blame, in halves of halves: as far as the forward passes reach.       D weights"""

import torch
from torch import Tensor

from thalweg.landscape.differences import Differences, Seen

NATS = 1e-4  # change of nbeta L along a draw that matters
SMALLER = (0.0, 1e-2)  # distances from w*, in draws, where what jumps has no gradient either
BESIDE = 5  # passes without which jumps are not looked for


def guilty(near: Differences, one: Seen) -> list[str]:
    """Names of parameters whose gradient is wrong; a group that could not be halved, whole."""
    names, places, step = near.scape.layout.names, near.places, near.step
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


def depended(near: Differences, seen: list[Seen], silent: Tensor) -> Tensor:
    """Which of the weights without gradient the loss depends on.

    First along short steps, on which a unit that is off stays off. Then along steps of a draw's size, over which a
    loss may jump: a unit that such a step switches on has a gradient there, and one that draws have saturated has
    one nearer to w*; they are no fault.

    Args:
        near: the landscape.
        seen: at least two draws.
        silent: (D,) bool, weights whose gradient is zero at all of them.

    Returns:
        (D,) bool.
    """
    held = torch.zeros_like(silent)
    if all(_moves(near, one, silent, near.step) for one in seen[:2]):
        held = _responsible(near, seen[0], silent, near.step)
    rest = silent & ~held
    if not rest.any() or near.left < BESIDE:
        return held
    for size in SMALLER:
        rest = rest & (near.graded(near.center + size * near.sigma * near.noise("near"))[1] == 0)
    for one in seen[:2]:
        if not rest.any():
            return held
        asleep = rest
        losses, gradient = near.graded(one.at + _way(near, rest))
        rest = rest & (gradient == 0)
        if not _far(near, one, losses, 1.0) or bool((asleep & ~rest).any()):
            return held
    return held | _responsible(near, seen[0], rest, 1.0)


def _way(near: Differences, group: Tensor) -> Tensor:
    """A draw's direction in these weights alone."""
    return near.sigma * near.noise("silent") * group


def _moves(near: Differences, one: Seen, group: Tensor, step: float) -> bool:
    """Whether the loss of some sample changes along a step of these weights."""
    return near.left <= 0 or _far(near, one, near.losses(one.at + step * _way(near, group)), step)


def _far(near: Differences, one: Seen, losses: Tensor, step: float) -> bool:
    """Whether losses differ from a draw's by more than rounding."""
    moved = (losses - one.losses).abs().sum().item() / step
    return moved > max(near.rounding(one.losses, step), NATS / near.nbeta)


def _responsible(near: Differences, one: Seen, silent: Tensor, step: float) -> Tensor:
    """Halves of halves of rows of parameters; what the passes do not reach is held too."""
    where = silent.nonzero()[:, 0]
    parameter, unit = _units(near, where)
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
        if not _moves(near, one, first, step):
            groups.append((cut, high))
            continue
        groups.append((low, cut))
        if _moves(near, one, group & ~first, step):
            groups.append((cut, high))
    return held


def _units(near: Differences, where: Tensor) -> tuple[Tensor, Tensor]:
    """Of each silent weight its parameter, and what is held together: a parameter without gradient, else a row."""
    parameter, row = torch.zeros_like(where), torch.zeros_like(where)
    for k, ((start, size), shape) in enumerate(zip(near.places, near.scape.layout.shapes, strict=True)):
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
