"""What no moving weight reaches is computed once for each checkpoint, and kept: a row a sample.       R replicas

A gradient then takes rows of it, those of all data as those of a batch. Whether a landscape is folded hangs on its
graph and its sizes, never on the memory that is free, so that a seed's numbers are the same in every process. A
layer that mixes samples gives no rows; that shows where samples are taken by chance, each in other company.
"""

import weakref
from collections.abc import Callable
from math import prod

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap

from thalweg.landscape import Data, Landscape, one_path
from thalweg.rng import stream
from thalweg.samplers._cut import Cut, cut
from thalweg.tree import leaves, rebuild
from thalweg.types import Params

LIMIT = 64 << 20  # bytes that may be kept of a checkpoint
ROWS = 1024  # samples in one pass
SPREAD = 0.1  # share of a weight by which it is moved where two ways are compared

Sums = tuple[Tensor, Tensor]  # gradients (R, D) and losses (R,), summed over samples
Way = Callable[[Tensor, Tensor, Params], Sums]  # of weights (R, D), numbers of samples, frozen


def split(scape: Landscape) -> tuple[list[str], list[str]]:
    """Names of the parameters of which something moves, and of those that masks hold whole."""
    masks = scape.restriction.masks or {}
    held = [name for name, mask in masks.items() if name in scape.params and not mask.any()]
    return [name for name in scape.params if name not in held], held


class Fold:
    """The parts of a landscape's gradient, and what is kept of the checkpoints that were asked for last."""

    def __init__(self, scape: Landscape, data: Data) -> None:
        """Trace the gradient of one pass, and cut it."""
        self.scape, self.data = scape, data
        self.moving, self.held = split(scape)
        self.size = min(ROWS, len(data))
        still = [*(scape.params[k] for k in self.held), *scape.frozen.values()]
        matrices = any(w.ndim > 1 for w in still)  # without one there is no product to spare
        self.first = self._cut(self.size) if matrices else None  # its body fills the tables
        rows = self.first.rows if self.first else ()
        self.bytes = len(data) * sum(prod(shape) * dtype.itemsize for shape, dtype in rows)  # of a checkpoint
        if self.bytes > LIMIT:
            self.first, self.bytes = None, 0
        self.forget()

    def forget(self) -> None:
        """Keep nothing."""
        self.known: list[tuple[list[Tensor], list[Tensor]]] = []  # of each of U checkpoints: what it holds, its table
        self.tables: list[Tensor] = []  # (U, n, ...), one for each value that crosses
        self.which = torch.zeros(0, dtype=torch.long)  # (R,) whose table
        self.taken: dict[int, tuple[Tensor, list[Tensor]]] = {}  # rows of the passes over all data
        self.seen: tuple[list[weakref.ref], list[Tensor]] = ([], [])

    def cut(self, size: int) -> Cut | None:
        """The gradient of so many samples in two; None where it stays whole."""
        if self.first is None or size == self.size:
            return self.first
        own = self._cut(size)
        return own if own and (own.kernels, own.rows) == (self.first.kernels, self.first.rows) else None

    def _cut(self, size: int) -> Cut | None:
        """Trace one replica's gradient of the first samples."""
        scape, samples = self.scape, self.data.take(torch.arange(size, device=self.scape.device) % len(self.data))
        moving, held = [scape.params[k] for k in self.moving], [scape.params[k] for k in self.held]
        with torch.inference_mode(False), torch.no_grad():
            return cut(self._gradient, moving, [*held, *scape.frozen.values()], [*leaves(samples[0]), samples[1]])

    def _gradient(self, *given: Tensor) -> tuple[Tensor, ...]:
        """Of the summed loss in what moves, and that loss, for one replica."""
        scape, rest = self.scape, iter(given)
        params, held, frozen = ({k: next(rest) for k in names} for names in (self.moving, self.held, scape.frozen))
        *inputs, targets = rest

        def total(moved: Params) -> Tensor:
            every = {k: moved[k] if k in moved else held[k] for k in scape.params}
            return scape.losses(every, frozen, rebuild(self.data.inputs, inputs), targets).sum()

        grads, loss = grad_and_value(total)(params)
        return (*grads.values(), loss)

    def batched(self, found: Cut) -> Callable[..., Sums]:
        """The head for all replicas in one pass, as a function of weights, sample numbers, frozen and kept rows."""
        scape, layout, names = self.scape, self.scape.layout, [*self.moving, *self.held]

        def kernel(params: Tensor, part: Tensor, *given: Tensor) -> Sums:
            named, (inputs, targets) = layout.unflatten(params), self.data.take(part)
            frozen, rows = given[: len(scape.frozen)], given[len(scape.frozen) :]
            samples, axis = [*leaves(inputs), targets], 0 if part.ndim == 2 else None
            dims = (*[0] * (len(names) + len(frozen)), *[axis] * len(samples), *[0] * len(rows))
            *grads, loss = vmap(found.head, in_dims=dims)(*(named[k] for k in names), *frozen, *samples, *rows)
            return self._flat(params, grads), loss

        return kernel

    def serial(self, found: Cut) -> Way:
        """The head replica by replica."""
        layout, names, count = self.scape.layout, [*self.moving, *self.held], len(self.scape.params)

        def way(params: Tensor, part: Tensor, frozen: Params) -> Sums:
            self.fill(params, frozen)
            sums = []
            for r, row in enumerate(params):
                named, index = layout.unflatten(row), part[r] if part.ndim == 2 else part
                still = [*(named[k] for k in names), *(w[r] for w in frozen.values())]
                numbered = enumerate([*leaves(self.data.inputs), self.data.targets], count + len(frozen))
                samples = [t[index] if k in found.used else None for k, t in numbered]
                with one_path(row.device.type):
                    sums.append(found.head(*still, *samples, *(table[self.which[r], index] for table in self.tables)))
            *grads, loss = (torch.stack(column) for column in zip(*sums, strict=True))
            return self._flat(params, grads), loss

        return way

    def _flat(self, params: Tensor, grads: list[Tensor]) -> Tensor:
        """Gradients (R, D), zero in what is held."""
        found, layout = dict(zip(self.moving, grads, strict=True)), self.scape.layout
        return layout.flatten({k: found.get(k, torch.zeros_like(w)) for k, w in layout.unflatten(params).items()})

    def rows(self, params: Tensor, part: Tensor, frozen: Params) -> list[Tensor]:
        """(R, B, ...) of each value that crosses, for sample numbers (B,) or (R, B)."""
        self.fill(params, frozen)
        if id(part) in self.taken:
            return self.taken[id(part)][1]
        index = part if part.ndim == 2 else part.expand(len(params), -1)
        found = [table[self.which[:, None], index] for table in self.tables]
        if part.ndim == 1 and len(params) * self.bytes <= LIMIT:
            self.taken[id(part)] = part, found
        return found

    def fill(self, params: Tensor, frozen: Params) -> None:
        """Make the tables of these replicas' checkpoints, where they are others than before.

        Args:
            params: (R, D), of which the held ones count.
            frozen: {name: (R, *shape)}, which nobody writes to.
        """
        named = self.scape.layout.unflatten(params)
        held, (refs, before) = [named[k] for k in self.held], self.seen
        alike = len(self.which) == len(params) and len(refs) == len(frozen)
        alike = alike and all(ref() is t for ref, t in zip(refs, frozen.values(), strict=True))
        if alike and all(map(_same, held, before)):
            return
        found, which = [], []
        for row in range(len(params)):
            own = [t[row] for t in (*held, *frozen.values())]
            number = _number(own, found)
            which.append(number)
            if number == len(found):
                old = _number(own, self.known)
                found.append(
                    self.known[old] if old < len(self.known) else ([t.clone() for t in own], self._table(own))
                )
        self.taken = {}
        self.tables = [torch.stack(column) for column in zip(*(table for _, table in found), strict=True)]
        self.known = [(own, [t[u] for t in self.tables]) for u, (own, _) in enumerate(found)]
        self.which = torch.tensor(which, device=params.device)
        self.seen = [weakref.ref(t) for t in frozen.values()], [t.clone() for t in held]

    def _table(self, still: list[Tensor]) -> list[Tensor]:
        """(n, ...) of each value that crosses, of one checkpoint."""
        assert self.first is not None
        count, parts = len(self.data), []
        for start in range(0, count, self.size):  # the last pass is filled up: all have one size
            index = torch.arange(start, start + self.size, device=self.scape.device).clamp(max=count - 1)
            inputs, targets = self.data.take(index)
            with one_path(targets.device.type):
                values = self.first.body(*still, *leaves(inputs), targets)
            shaped = zip(values, self.first.rows, strict=True)
            parts.append([v.reshape(self.size, *shape)[: count - start] for v, (shape, _) in shaped])
        return [torch.cat(column) for column in zip(*parts, strict=True)]

    def agree(self, way: Way, other: Way, rows: int, part: Tensor) -> bool:
        """Whether two ways give the same sums, at two checkpoints near the landscape's and samples by chance."""
        scape, layout = self.scape, self.scape.layout
        own = stream(0, "fold", *part.shape, device=scape.device)
        which = torch.arange(rows, device=scape.device) % 2
        open_ = layout.flatten({k: torch.full_like(w, k in self.moving) for k, w in scape.params.items()})
        two = _moved(layout.flatten(scape.params).expand(2, -1), own)[which]
        params = torch.where(open_ > 0, _moved(two, own), two)
        frozen = {k: _moved(w.expand(2, *w.shape), own)[which] for k, w in scape.frozen.items()}
        index = torch.randint(len(self.data), part.shape, generator=own, device=scape.device)
        try:
            pairs = list(zip(way(params, index, frozen), other(params, index, frozen), strict=True))
        except (RuntimeError, NotImplementedError, TypeError, ValueError, IndexError):  # vmap takes not every kernel
            return False
        finally:
            self.forget()
        tolerance = torch.finfo(layout.dtype).eps ** 0.5
        return all(bool(((a - b).abs() <= tolerance * b.abs().max()).all()) for a, b in pairs)


def _number(own: list[Tensor], known: list[tuple[list[Tensor], list[Tensor]]]) -> int:
    """Which of the known checkpoints it is; their number if none."""
    return next((u for u, (other, _) in enumerate(known) if all(map(_same, own, other))), len(known))


def _same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors have the same bits: what is NaN stays so."""
    whole = {2: torch.int16, 4: torch.int32, 8: torch.int64}.get(a.element_size())
    return torch.equal(a.view(whole), b.view(whole)) if whole and a.is_floating_point() else torch.equal(a, b)


def _moved(w: Tensor, own: torch.Generator) -> Tensor:
    """Numbers near others."""
    if not w.is_floating_point():
        return w
    return w * (1 + SPREAD * torch.randn(w.shape, generator=own, dtype=w.dtype, device=w.device))
