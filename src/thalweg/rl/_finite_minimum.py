"""Whether regret falls along a straight line in the weights that has no end: then it has no minimum.

    w(c) = w* + (c - 1) v,    v in the layer that the logits are linear in,    logits(c) = logits + (c - 1) change

A softmax policy reaches what is best only at infinite logits unless actions tie. Claimed is only what a line shows:
from w* on it rises nowhere above w* and ends below it; or, where w* is so far out that rounding hides the rest,
the last that was seen to change was a fall.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call

from thalweg.landscape import Landscape, one_path
from thalweg.types import Params

BEFORE = 2.0 ** torch.arange(-30, 0, dtype=torch.float64)  # c of the points that lead to w*
AHEAD = 2.0 ** torch.arange(1, 41, dtype=torch.float64)
LINEAR = 1e-4  # of the largest logit, in float32: by which logits may miss a straight line
FAR = (1.0, 1000.0)  # where that is looked at


class _Way(NamedTuple):
    """A line: the layer's own weights by v, and what v makes of the logits."""

    layer: Params
    change: Tensor


def ways(module: nn.Module, scape: Landscape, gradient: Tensor, inputs: Tensor, greedy: Any = None) -> Iterator[_Way]:
    """Lines that the landscape leaves open: all logits at once, and of a table also towards better actions.

    The module takes inputs (B, ...) to logits (B, A); an orthogonal restriction closes the gradient (D,) at w*;
    `greedy` takes a table of logits (N, A) to the direction towards better actions.
    """
    own = _layer(module, scape.params)
    if not own:
        return

    def logits(layer: Params) -> Tensor:
        with one_path(inputs.device.type):
            return functional_call(module, {**scape.params, **scape.frozen, **layer}, (inputs,))

    now, wanted = logits(own), [own]
    (name, table), *rest = own.items()
    if greedy is not None and not rest and _looks_up(table, inputs) and torch.equal(now, table[inputs]):
        wanted.append({name: greedy(table)})
    for v in wanted:
        layer = _open(v, scape, gradient)
        change = now if layer is None else logits(layer)
        if layer is not None and all(
            _near(logits({name: w + far * layer[name] for name, w in own.items()}), now + far * change) for far in FAR
        ):
            yield _Way(layer, change)


def fall(before: Tensor, now: float, ahead: Tensor, rounding: float) -> float | None:
    """By how much the line ends below w*; 0 where only rounding hides it; None where no fall is shown.

    Losses stand at c < 1, c = 1 and c > 1, ascending in c.
    """
    if ahead.max() > now + rounding:
        return None
    if now - ahead[-1] > rounding:
        return float(now - ahead[-1])
    seen = before[(before - now).abs() > rounding]
    return 0.0 if len(seen) and seen[-1] > now else None


def sentence(gain: float) -> str:
    """The doubt in words."""
    hidden = "have brought the regret so low that rounding hides the rest"
    more = f"lower the regret by {gain:.3g} more" if gain else hidden
    return (
        f"logits that grow without end {more}: a softmax policy has no finite minimum here, and the number would"
        " depend on the size of its logits: pay entropy, temperature=0.01"
    )


def _looks_up(table: Tensor, inputs: Tensor) -> bool:
    """Whether inputs could be numbers of its rows."""
    whole = inputs.ndim == 1 and not inputs.is_floating_point()
    return whole and table.ndim == 2 and int(inputs.max()) < len(table)


def _near(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() <= LINEAR * (1 + other.abs().max()))


def _layer(module: nn.Module, params: Params) -> Params:
    """Trained parameters of the last module that has any of its own."""
    found: Params = {}
    for prefix, part in module.named_modules():
        names = [f"{prefix}.{name}" if prefix else name for name, _ in part.named_parameters(recurse=False)]
        found = {name: params[name] for name in names if name in params} or found
    return found


def _open(v: Params, scape: Landscape, gradient: Tensor) -> Params | None:
    """The part of v in a layer that the restriction leaves open; None where nothing is left."""
    full = scape.layout.flatten({name: v.get(name, torch.zeros_like(w)) for name, w in scape.params.items()})
    inside = scape.layout.flatten({name: torch.full_like(w, float(name in v)) for name, w in scape.params.items()})
    inside = inside if scape.mask is None else inside * scape.mask
    full = full * inside
    if scape.restriction.orthogonal_to_gradient:
        normal = gradient * inside
        squared = normal.square().sum()
        full = full - normal * (full @ normal / squared) if squared > 0 else full
    whole = scape.layout.unflatten(full)
    return {name: whole[name] for name in v} if full.any() else None
