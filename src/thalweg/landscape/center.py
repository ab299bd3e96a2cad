"""What is read at w* before any step: per-sample losses and gradient over the full data."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from thalweg.errors import InputError, guarded
from thalweg.landscape._loss import mean
from thalweg.landscape._passes import check_mode
from thalweg.landscape.data import Data
from thalweg.landscape.landscape import Landscape
from thalweg.landscape.records import Relaxation
from thalweg.tree import Layout
from thalweg.types import Params

ROUNDING = 10.0  # roundings of one sample's gradient, below which the sum of all is taken for zero
ROWS = 1024  # samples a pass; fixed, so that sums have one order


@dataclass(frozen=True, eq=False)
class Center:
    """One point w*.

    Attributes:
        params: (D,) flat.
        frozen: buffers and frozen parameters.
        losses: (n,) per-sample losses at w*, nats; (1,) for a potential.
        gradient: (D,) of L_n at w*, only over directions that move; zero where it is mere rounding.
        doubt: why w* is no minimum, where the losses can tell; else empty.
        relaxation: how this point was found, where it is another than the checkpoint.
    """

    params: Tensor
    frozen: Params
    losses: Tensor
    gradient: Tensor
    doubt: str = ""
    relaxation: Relaxation | None = None

    @property
    def loss(self) -> float:
        """L_n(w*), nats per sample: the baseline."""
        return mean(self.losses)

    @property
    def unreached(self) -> str:
        """Why the descent reached no point that could be sampled; empty where it did, and where there was none."""
        return self.relaxation.reason if self.relaxation else ""

    @property
    def normal(self) -> Tensor:
        """(D,) the gradient at unit length; zero where it vanishes, and no direction is closed."""
        length = self.gradient.norm()
        return self.gradient / length if length > 0 else torch.zeros_like(self.gradient)


def measure(scape: Landscape) -> Center:
    """Read the losses and the gradient of the full data at w*, in ordinary autograd.

    Raises:
        InputError: a loss that is not finite at w*; a call inside `torch.inference_mode`.
    """
    check_mode()
    layout = scape.layout
    params = {k: w.detach().requires_grad_() for k, w in scape.params.items()}
    total = {k: torch.zeros_like(w) for k, w in params.items()}
    parts, count = [], 1 if scape.data is None else len(scape.data)
    for start in range(0, count, ROWS):
        batch = scape.data.take(slice(start, start + ROWS)) if scape.data else (None, None)
        rows = f"loss over samples {start} to {min(start + ROWS, count) - 1}"
        with guarded(rows), _named(scape, scape.data, start), torch.enable_grad():
            losses = scape.losses(params, scape.frozen, *batch)
            grads = torch.autograd.grad(losses.sum(), list(params.values()), materialize_grads=True)
        for name, g in zip(params, grads, strict=True):
            total[name] += g
        parts.append(losses.detach())
    losses = torch.cat(parts)
    if not torch.isfinite(losses).all():
        bad = (~torch.isfinite(losses)).nonzero()
        raise InputError(
            f"loss at w* is not finite on {len(bad)} of {count} samples, the first is sample {int(bad[0])}: check"
            " weights, data and loss"
        )
    flat = layout.flatten({k: w.detach() for k, w in params.items()})
    gradient = layout.flatten(total) / count
    gradient = gradient if scape.mask is None else gradient * scape.mask
    if gradient.norm() < ROUNDING * torch.finfo(flat.dtype).eps * _single_gradient(scape, params, layout):
        gradient = torch.zeros_like(gradient)
    return Center(flat, scape.frozen, losses, gradient, scape.losses.doubt(scape, gradient))


@contextmanager
def _named(scape: Landscape, data: Data | None, start: int) -> Iterator[None]:
    """Compute the losses of the samples from `start` on; where that fails, of which sample it fails."""
    try:
        yield
    except Exception:
        for i in range(start, min(start + ROWS, len(data)) if data else start):
            with guarded(f"loss of sample {i}"), torch.no_grad():
                scape.losses(scape.params, scape.frozen, *data.take(slice(i, i + 1)))  # pyright: ignore[reportOptionalMemberAccess]
        raise


def _single_gradient(scape: Landscape, params: Params, layout: Layout) -> Tensor:
    """Length of the gradient of the first sample alone: the scale against which sums round."""
    if scape.data is None:
        return torch.zeros(())
    with torch.enable_grad():
        loss = scape.losses(params, scape.frozen, *scape.data.take(slice(0, 1))).sum()
        grads = torch.autograd.grad(loss, list(params.values()), materialize_grads=True)
    return layout.flatten(dict(zip(params, grads, strict=True))).norm()


def full_loss(scape: Landscape, data: Data) -> float:
    """Mean loss of w* over other data, nats per sample.

    Raises:
        InputError: a loss that is not finite.
    """
    parts = []
    with guarded("loss over the test data"), torch.no_grad():
        for start in range(0, len(data), ROWS):
            with _named(scape, data, start):
                parts.append(scape.losses(scape.params, scape.frozen, *data.take(slice(start, start + ROWS))))
    value = mean(torch.cat(parts))
    if value != value or value in (float("inf"), float("-inf")):
        raise InputError("loss over the test data is not finite: check the data")
    return value
