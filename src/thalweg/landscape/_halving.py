"""Which weights are to blame, in halves of halves: as far as the forward passes reach.       D weights"""

from itertools import pairwise

import torch
from torch import Tensor

from thalweg.landscape._differences import Differences, Seen

NATS = 1e-4  # change of nbeta L along a draw that matters
SMALLER = (0.0, 1e-2, 1e-1)  # distances from w*, in draws, where what jumps has no gradient either
MANY = 8  # rows among which a single one is looked for by its number
ADDED = 1e-3  # of a change: what is left where short steps add up
BESIDE = 6  # passes without which jumps are not looked for


def guilty(near: Differences, one: Seen) -> tuple[list[str], bool]:
    """Names of parameters whose gradient is wrong, and whether it is all of them, no group being left whole."""
    names, step, at, whole = near.scape.layout.names, one.step, near.at(one.number), one.way(near)
    groups, done = [(0, len(names), one.error)], []
    while groups and near.left > 0:
        low, high, error = groups.pop(0)
        if high - low == 1:
            done.append((low, high))
            continue
        middle = (low + high) // 2
        way, half = torch.zeros_like(whole), slice(near.starts[low], near.starts[middle])
        way[half] = whole[half]
        change = float((near.losses(at + step * way) - one.losses).sum()) / step
        first = change - sum(one.slopes[low:middle])
        halves = [(low, middle, first), (middle, high, error - first)]
        kept = [found for found in halves if abs(found[2]) > one.doubt]
        groups += kept
        if not kept:
            done.append((low, high))
    found = sorted(done + [group[:2] for group in groups])
    return [names[k] for low, high in found for k in range(low, high)], all(b - a == 1 for a, b in found)


def depended(near: Differences, seen: list[Seen], silent: Tensor) -> Tensor:
    """Which of the weights without gradient the loss depends on.

    First along short steps, on which a unit that is off stays off. Then, of parameters that have no gradient at all,
    along steps of a draw's size, over which a loss may jump: a unit that such a step switches on has a gradient
    there, and one that draws have saturated has one nearer to w*; they are no fault.

    Args:
        near: the landscape.
        seen: at least two draws.
        silent: (D,) bool, weights whose gradient is zero at all of them.

    Returns:
        (D,) bool.
    """
    held, rest, step = torch.zeros_like(silent), silent, near.steps[-1]
    while rest.any() and near.left > 2:
        if not all(_far(near, one, _change(near, one, rest, step), step) for one in seen[:2]):
            break
        held = held | _responsible(near, seen[0], rest, step)  # the strongest; what it left may still be seen
        rest = silent & ~held
    rest = _whole(near, rest)
    if not rest.any() or near.left < BESIDE:
        return held
    for size in SMALLER:
        rest = rest & (near.graded(near.center + size * near.sigma * near.noise("near"))[1] == 0)
    for one in seen[:2]:
        if not rest.any():
            return held
        asleep = rest
        losses, gradient = near.graded(near.at(one.number) + near.sigma * near.noise("silent") * rest)
        rest = rest & (gradient == 0)
        if not _far(near, one, losses - one.losses, 1.0) or bool((asleep & ~rest).any()):
            return held
    return held | _responsible(near, seen[0], rest, 1.0)


def _whole(near: Differences, silent: Tensor) -> Tensor:
    """Of these weights those of parameters none of whose weights is another."""
    found = torch.zeros_like(silent)
    for start, end in pairwise(near.starts):
        if bool(silent[start:end].any()) and silent[start:end].equal(near.open[start:end]):
            found[start:end] = silent[start:end]
    return found


def _change(near: Differences, one: Seen, scale: Tensor, step: float) -> Tensor:
    """(B,) change of the losses along a step of some weights alone, each by its scale."""
    return near.losses(near.at(one.number) + step * near.sigma * near.noise("silent") * scale) - one.losses


def _far(near: Differences, one: Seen, change: Tensor, step: float, beside: float = 0.0) -> bool:
    """Whether a change is more than rounding, and matters."""
    least = max(near.rounding(one.losses, step), NATS / near.nbeta, beside)
    return change.abs().sum().item() / step > least


def _responsible(near: Differences, one: Seen, silent: Tensor, step: float) -> Tensor:
    """Halves of halves of rows of parameters; what the passes do not reach is held too.

    Changes along short steps add up: one half's is what the other leaves.
    """
    where = silent.nonzero()[:, 0]
    parameter, unit = _units(near, where)
    held, short = torch.zeros_like(silent), near.fine and step < 1

    def weights(low: int, high: int) -> Tensor:
        group = torch.zeros_like(silent)
        group[where[(unit >= low) & (unit < high)]] = True
        return group

    groups = [(0, int(unit[-1]) + 1, _change(near, one, silent, step))]
    while groups:
        low, high, change = groups.pop(0)
        if high - low == 1 or near.left < 3:
            held |= weights(low, high)
            continue
        inside = (unit >= low) & (unit < high)
        alone = bool((parameter[inside] == parameter[inside][0]).all())
        if short and alone and high - low > MANY:
            code = torch.zeros_like(near.center)
            code[where[inside]] = (unit[inside] - low + 1).to(code) / (high - low)
            share = float(_change(near, one, code, step).abs().sum() / change.abs().sum())
            row = low - 1 + round(share * (high - low))
            if low <= row < high:
                left = change - _change(near, one, weights(row, row + 1), step)
                if not left.abs().sum() > ADDED * change.abs().sum():
                    held |= weights(row, row + 1)
                    continue
        cut = _cut(unit[inside], parameter[inside], low, high)
        first = _change(near, one, weights(low, cut), step)
        second = change - first if short else _change(near, one, weights(cut, high), step)
        least = ADDED * change.abs().sum().item() / step if short else 0.0
        halves = [(low, cut, first), (cut, high, second)]
        kept = [half for half in halves if _far(near, one, half[2], step, least)]
        groups += kept
        if not kept:  # they act together
            held |= weights(low, high)
    return held


def _units(near: Differences, where: Tensor) -> tuple[Tensor, Tensor]:
    """Of each silent weight its parameter, and what is held together: a parameter without gradient, else a row."""
    layout, parameter, row = near.scape.layout, torch.zeros_like(where), torch.zeros_like(where)
    for k, (start, size, shape) in enumerate(zip(near.starts, layout.sizes, layout.shapes, strict=False)):
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
