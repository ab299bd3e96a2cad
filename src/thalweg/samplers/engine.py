"""Two engines that take the same step: all replicas of a chunk at once by vmap, or one by autograd.

What makes a replica's numbers independent of its neighbours, in the batched engine: a chunk is
always WIDTH replicas wide (padded), so every kernel sees one shape; WIDTH is a multiple of the
widest vector of floats, so no element falls into a scalar tail; products do not depend on memory
alignment (`MKL_CBWR`, set on import); one thread.
"""

import shutil
from collections.abc import Callable
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap

from thalweg.errors import InputError
from thalweg.landscape import Landscape, Posterior
from thalweg.samplers import sgld
from thalweg.samplers.graph import trace
from thalweg.samplers.sgld import State
from thalweg.types import Params

WIDTH = 16

Step = Callable[..., tuple[Tensor, Tensor]]  # (params, noise, batch, posterior..., step_size, frozen) -> params, loss


def width(scape: Landscape) -> int:
    """Replicas of a chunk."""
    return WIDTH if scape.engine == "batched" else 1


@contextmanager
def threads(count: int):
    """Run a block on a number of torch threads, then go back."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Engine:
    """Takes steps of one landscape's replicas; keeps what was traced or compiled."""

    def __init__(self, scape: Landscape, *, compiled: bool) -> None:
        """Check that what was asked for can be had."""
        if compiled and scape.engine == "serial":
            raise InputError(
                f"compile needs the batched engine, and this model runs serially ({scape.engine_reason})"
            )
        if compiled and not (shutil.which("g++") or shutil.which("c++") or shutil.which("clang++")):
            raise InputError("compile needs a C++ compiler (g++ or clang++): install one, or leave compile off")
        self.scape, self.compiled = scape, compiled
        self.mask = scape.mask
        self.step: Step | None = None

    def advance(
        self, params: Tensor, noise: Tensor, batch: Tensor, fixed: tuple[Tensor, ...], frozen: Params
    ) -> tuple[Tensor, Tensor]:
        """One step of every replica of a chunk.

        Args:
            params: (R, D).
            noise: (R, D).
            batch: (R, B) sample numbers.
            fixed: center (R, D), normal (R, D) or (R, 0), nbeta, gamma and step size (R, 1).
            frozen: {name: (R, *shape)}.

        Returns:
            New parameters (R, D), and the losses (R,) at the old ones.
        """
        if self.step is None:
            self.step = self._build(params, noise, batch, fixed, frozen)
        return self.step(params, noise, batch, *fixed, *frozen.values())

    def _build(self, params: Tensor, noise: Tensor, batch: Tensor, fixed: tuple[Tensor, ...], frozen: Params) -> Step:
        """The step as a plain function of tensors, traced where replicas move together."""
        names = list(frozen)

        def step(params: Tensor, noise: Tensor, batch: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor]:
            center, normal, nbeta, gamma, step_size = rest[:5]
            held = dict(zip(names, rest[5:], strict=True))
            gradient = self._batched(held) if self.scape.engine == "batched" else self._serial(held)
            posterior = Posterior(center, nbeta, gamma, self.mask, normal if normal.shape[1] else None)
            state, info = sgld.step(
                State(params, 0), batch, noise, gradient=gradient, posterior=posterior, step_size=step_size
            )
            return state.params, info.loss

        if self.scape.engine == "serial":
            return step
        graph = trace(step, [params, noise, batch, *fixed, *frozen.values()])
        return torch.compile(graph, dynamic=False) if self.compiled else graph

    def _batched(self, frozen: Params) -> sgld.Gradient:
        """Gradients of all replicas in one pass."""
        scape, layout = self.scape, self.scape.layout

        def mean_loss(params: Params, held: Params, inputs, targets) -> Tensor:
            return scape.losses(params, held, inputs, targets).mean()

        def gradient(params: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:
            inputs, targets = scape.data.take(batch) if scape.data else (None, None)
            axis = None if scape.data is None else 0
            each = vmap(grad_and_value(mean_loss), in_dims=(0, 0, axis, axis))
            grads, loss = each(layout.unflatten(params), frozen, inputs, targets)
            return layout.flatten(grads), loss

        return gradient

    def _serial(self, frozen: Params) -> sgld.Gradient:
        """Gradient of a single replica in ordinary autograd."""
        scape, layout = self.scape, self.scape.layout
        held = {k: w[0] for k, w in frozen.items()}

        def gradient(params: Tensor, batch: Tensor) -> tuple[Tensor, Tensor]:
            weights = {k: w.detach().requires_grad_() for k, w in layout.unflatten(params[0]).items()}
            data = scape.data.take(batch[0]) if scape.data else (None, None)
            with torch.enable_grad():
                loss = scape.losses(weights, held, *data).mean()
                grads = torch.autograd.grad(loss, list(weights.values()), materialize_grads=True)
            return layout.flatten(dict(zip(weights, grads, strict=True)))[None], loss.detach()[None]

        return gradient
