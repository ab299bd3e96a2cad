"""Two engines that give the same gradients: all replicas of a chunk at once by vmap, or one by one by autograd.

What makes a replica's numbers independent of its neighbours, in the batched engine: a chunk always
has one width (padded), so every kernel sees one shape; the width is a multiple of the widest vector
of floats, so no element falls into a scalar tail; products do not depend on memory alignment
(`MKL_CBWR`, set on import); one thread.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap

from thalweg.errors import InputError, first_line
from thalweg.landscape import Landscape, ModuleLosses
from thalweg.samplers._fold import Fold, Sums, Way, split
from thalweg.samplers._graph import trace
from thalweg.samplers._target import Gradient
from thalweg.types import Params

WIDTH = 16  # replicas that move together: a chunk is always so wide, so that sums have one order
ROWS = 1024  # samples of the full data in one pass, whatever the memory: sums have one order

Kernel = Callable[..., Sums]  # (params, batch, frozen...) -> sum of gradients, sum of losses


def width(scape: Landscape) -> int:
    """Replicas of a chunk."""
    return WIDTH if scape.engine == "batched" else 1


class Engine:
    """Gives gradients of one landscape's replicas; keeps what was traced or compiled."""

    def __init__(self, scape: Landscape, *, compiled: bool) -> None:
        """Check that what was asked for can be had."""
        if compiled and scape.losses.own_gradients:
            raise InputError("compile has nothing to do where the loss gives its own gradients: leave it off")
        if compiled and scape.engine == "serial":
            raise InputError(
                f"compile needs the batched engine, and this model runs serially ({scape.engine_reason})"
            )
        if compiled and not (shutil.which("g++") or shutil.which("c++") or shutil.which("clang++")):
            raise InputError("compile needs a C++ compiler (g++ or clang++): install one, or leave compile off")
        self.scape, self.compiled = scape, compiled
        self.moving = split(scape)[0]
        self.ways: dict[tuple, Way] = {}
        count = 0 if scape.data is None else len(scape.data)
        self.parts = list(
            torch.arange(count, device=scape.device).split(ROWS)
        )  # sample numbers; of none, one empty part

    @cached_property
    def fold(self) -> Fold | None:
        """What is computed once for each checkpoint, where the losses are a plain function of samples."""
        plain = isinstance(self.scape.losses, ModuleLosses) and not self.scape.losses.in_the_mean
        return Fold(self.scape, self.scape.data) if plain and self.scape.data is not None else None

    def gradient(self, frozen: Params, batch: Tensor | None) -> Gradient:
        """The gradient of the mean loss, as a function of the parameters.

        Args:
            frozen: {name: (R, *shape)} of the replicas, which nobody writes to.
            batch: (R, B) sample numbers, each replica its own; None for the full data.

        Returns:
            (R, D) -> gradient (R, D) and loss (R,), nats per sample.
        """
        parts = [batch] if batch is not None and batch.shape[1] else self.parts
        frozen = {k: w.contiguous() for k, w in frozen.items()}  # a graph is traced for it
        return lambda params: self._mean(params, parts, frozen)

    @contextmanager
    def block(self) -> Iterator[None]:
        """A block of steps: losses that keep things from step to step keep none beyond it."""
        self.scape.losses.begin()
        try:
            yield
        finally:
            self.scape.losses.end()

    def _mean(self, params: Tensor, parts: list[Tensor], frozen: Params) -> tuple[Tensor, Tensor]:
        """Mean over all samples of all parts."""
        count = max(sum(part.shape[-1] for part in parts), 1)
        grad, loss = self._sum(params, parts[0], frozen)
        for part in parts[1:]:
            more, rest = self._sum(params, part, frozen)
            grad, loss = grad + more, loss + rest
        return (grad / count, loss / count) if count > 1 else (grad, loss)

    def _sum(self, params: Tensor, part: Tensor, frozen: Params) -> Sums:
        """Sums over the samples of one part: (B,) the same for all replicas, or (R, B)."""
        if self.scape.losses.own_gradients:
            return self.scape.losses.gradients(params)
        key = (tuple(params.shape), tuple(part.shape))
        if key not in self.ways:
            self.ways[key] = self._folded(len(params), part) or self._whole()
        return self.ways[key](params, part, frozen)

    def _whole(self) -> Way:
        """Gradients in which everything is computed."""
        if self.scape.engine == "serial":
            return self._serial
        return self._called(self._batched(list(self.scape.frozen)), lambda params, part, frozen: [])

    def _plain(self, params: Tensor, part: Tensor, frozen: Params) -> Sums:
        """The same, by no graph."""
        if self.scape.engine == "serial":
            return self._serial(params, part, frozen)
        return self._batched(list(frozen))(params, part, *frozen.values())

    def _folded(self, count: int, part: Tensor) -> Way | None:
        """Gradients of so many replicas in which the frozen body is not; None where there is none."""
        found = self.fold and self.fold.cut(part.shape[-1])
        if not self.fold or not found:
            return None
        serial = self.scape.engine == "serial"
        way = self.fold.serial(found) if serial else self._called(self.fold.batched(found), self.fold.rows)
        return way if self.fold.agree(way, self._plain, count, part) else None

    def _called(self, kernel: Kernel, beside: Callable[..., list[Tensor]]) -> Way:
        """A kernel that is traced when it is first called; it is given something beside its arguments."""
        traced: list[Kernel] = []

        def way(params: Tensor, part: Tensor, frozen: Params) -> Sums:
            given = [params, part, *frozen.values(), *beside(params, part, frozen)]
            if not traced:
                traced.append(self._traced(kernel, given))
            return traced[0](*given)

        return way

    def _traced(self, kernel: Kernel, example: list[Tensor]) -> Kernel:
        """The kernel's graph; the kernel itself, which gives the same bits slower, where it looks at numbers."""
        try:
            graph = trace(kernel, example)
        except RuntimeError as error:
            if self.compiled:
                raise InputError(f"compile cannot trace this module ({first_line(error)}): leave it off") from error
            return kernel
        return torch.compile(graph, dynamic=False) if self.compiled else graph

    def _batched(self, names: list[str]) -> Kernel:
        """Gradients of all replicas in one pass, as a plain function of tensors."""
        scape, layout = self.scape, self.scape.layout

        def total(moved: Params, params: Params, held: Params, inputs, targets) -> Tensor:
            return scape.losses({**params, **moved}, held, inputs, targets).sum()

        def kernel(params: Tensor, part: Tensor, *frozen: Tensor) -> Sums:
            inputs, targets = scape.data.take(part) if scape.data else (None, None)
            axis = 0 if scape.data is not None and part.ndim == 2 else None
            each = vmap(grad_and_value(total), in_dims=(0, 0, 0, axis, axis))
            whole = layout.unflatten(params)
            moved = {k: whole[k] for k in self.moving}
            grads, loss = each(moved, whole, dict(zip(names, frozen, strict=True)), inputs, targets)
            return layout.flatten({k: grads.get(k, torch.zeros_like(w)) for k, w in whole.items()}), loss

        return kernel

    def _serial(self, params: Tensor, part: Tensor, frozen: Params) -> Sums:
        """Gradients replica by replica in ordinary autograd."""
        scape, layout = self.scape, self.scape.layout
        grad, losses = torch.zeros_like(params), []
        for r, row in enumerate(params):
            weights = {k: w.detach() for k, w in layout.unflatten(row).items()}
            moved = [weights[k].requires_grad_() for k in self.moving]
            data = scape.data.take(part[r] if part.ndim == 2 else part) if scape.data else (None, None)
            with torch.enable_grad():
                loss = scape.losses(weights, {k: w[r] for k, w in frozen.items()}, *data).sum()
                grads = torch.autograd.grad(loss, moved, materialize_grads=True) if loss.requires_grad else ()
            for own, g in zip((layout.unflatten(grad[r])[k] for k in self.moving), grads, strict=False):
                own.copy_(g)
            losses.append(loss.detach())
        return grad, torch.stack(losses)
