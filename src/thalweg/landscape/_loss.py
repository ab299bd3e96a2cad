"""One loss for each sample, in nats, whatever the loss function was written for."""

import functools
from collections.abc import Callable
from copy import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thalweg.errors import InputError

IGNORED = -100  # torch's default label of a token that does not count

Loss = Callable[[Any, Tensor], Tensor]

BY_NAME: dict[str, Loss] = {
    "cross_entropy": F.cross_entropy,
    "nll": F.nll_loss,
    "mse": F.mse_loss,
    "l1": F.l1_loss,
    "smooth_l1": F.smooth_l1_loss,
    "huber": F.huber_loss,
    "binary_cross_entropy": F.binary_cross_entropy,
    "binary_cross_entropy_with_logits": F.binary_cross_entropy_with_logits,
}


class PerSample:
    """`loss(outputs, targets)` as one number per sample: (B,).

    Torch's own losses, functional or modules, get `reduction="none"`. Axes behind the first are
    averaged over the tokens that count where targets are integers (sequences), and summed where
    they are numbers (regression).
    """

    def __init__(self, loss: Loss) -> None:
        """Take a torch loss or any callable that returns one number per sample."""
        if not callable(loss):
            raise InputError(f"loss {loss!r} is not callable: give a function of (outputs, targets)")
        self.given = loss
        self.call = _unreduced(loss)
        keywords = getattr(loss, "keywords", {})
        self.ignored = int(keywords.get("ignore_index", getattr(loss, "ignore_index", IGNORED)))

    def __call__(self, outputs: Any, targets: Tensor) -> Tensor:
        """Losses (B,) in nats."""
        losses = self.call(outputs, targets)
        if not isinstance(losses, Tensor) or losses.ndim < 2:
            return losses
        losses = losses.flatten(1)
        if targets.is_floating_point():
            return losses.sum(1)
        if targets.numel() != losses.numel():
            return losses.mean(1)
        counted = (targets.flatten(1) != self.ignored).to(losses.dtype)
        return losses.sum(1) / counted.sum(1)

    def ignores(self, targets: Tensor) -> bool:
        """Whether some of the targets do not count."""
        classes = not targets.is_floating_point() and self.call is not self.given
        return classes and bool((targets == self.ignored).any())


def check(outputs_loss: Tensor, size: int) -> None:
    """Refuse a loss of `size` samples, at least 2, that is not one number per sample."""
    if not isinstance(outputs_loss, Tensor) or outputs_loss.ndim == 0 or outputs_loss.shape[0] != size:
        shape = tuple(outputs_loss.shape) if isinstance(outputs_loss, Tensor) else type(outputs_loss).__name__
        raise InputError(
            f"loss returned {shape} for {size} samples, not one number per sample: leave out the mean, or use"
            ' reduction="none"'
        )


def _unreduced(loss: Loss) -> Loss:
    """The same loss with `reduction="none"` where torch wrote it; anything else as it is."""
    if isinstance(loss, nn.Module):
        if hasattr(loss, "reduction"):
            loss = copy(loss)
            setattr(loss, "reduction", "none")  # noqa: B010  (its type is unknown to a checker)
        return loss
    if isinstance(loss, functools.partial) and _is_torch(loss.func):
        return functools.partial(loss.func, *loss.args, **{**loss.keywords, "reduction": "none"})
    return functools.partial(loss, reduction="none") if _is_torch(loss) else loss


def _is_torch(loss: Any) -> bool:
    """One of torch.nn.functional's losses."""
    return getattr(loss, "__module__", "").startswith("torch.nn.functional")


def by_name(name: str) -> Loss:
    """A torch loss by its name on the command line.

    Raises:
        InputError: lists the names that there are.
    """
    if name not in BY_NAME:
        raise InputError(f"unknown loss {name!r}: one of {', '.join(BY_NAME)}, or FILE.py:NAME")
    return BY_NAME[name]


def mean(losses: Tensor) -> float:
    """Mean of per-sample losses, accumulated in float64."""
    return losses.to(torch.float64).mean().item()
