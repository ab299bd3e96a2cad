"""Per-sample losses as functions of tensors, by one path of computation: with gradients and without."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from thalweg.errors import InputError, shown
from thalweg.landscape._copies import LOCKS, stand_ins
from thalweg.landscape._held import Place, Scratch, things
from thalweg.landscape._loss import PerSample
from thalweg.landscape.landscape import Losses
from thalweg.types import Params, Tree

FLAGS = (  # reads a switch of torch's, sets it, and where it stands while we measure
    (torch.backends.mha.get_fastpath_enabled, torch.backends.mha.set_fastpath_enabled, False),
    (torch.backends.cuda.flash_sdp_enabled, torch.backends.cuda.enable_flash_sdp, False),  # on every device
    (torch.backends.cuda.mem_efficient_sdp_enabled, torch.backends.cuda.enable_mem_efficient_sdp, False),
    (torch.backends.cuda.cudnn_sdp_enabled, torch.backends.cuda.enable_cudnn_sdp, False),
    (torch.backends.cuda.math_sdp_enabled, torch.backends.cuda.enable_math_sdp, True),
)


@contextmanager
def one_path(device: str) -> Iterator[None]:
    """The same kernels whether gradients are asked for or not, in every process; then as it was before.

    Without gradients torch runs attention in kernels of its own, which give other numbers at padded places; vmap
    knows only the plain kernel of attention, and nothing that is compiled; autocast around us would reach this
    process and no worker.
    """
    before = [read() for read, _, _ in FLAGS]
    for _, switch, on in FLAGS:
        switch(on)
    try:
        eager = torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()
        with eager, torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext():
            yield
    finally:
        for (_, switch, _), on in zip(FLAGS, before, strict=True):
            switch(on)


def check_mode() -> None:
    """Refuse to start where torch keeps no graphs, whatever is asked of it.

    Raises:
        InputError: inside `torch.inference_mode`.
    """
    if torch.is_inference_mode_enabled():
        raise InputError("torch.inference_mode is on, in which there are no gradients: call this outside of it")


@dataclass(frozen=True)
class ModuleLosses(Losses):
    """Per-sample losses of a module, as a function of all its tensors.

    Attributes:
        module: in eval mode; its own tensors are not used.
        loss: of its outputs and the targets.
        written: names of buffers that a forward pass writes to: it is given copies.
        scratch: attributes that a forward pass writes to: they are put back.
    """

    module: nn.Module
    loss: PerSample
    written: frozenset[str] = field(default=frozenset(), kw_only=True)
    scratch: tuple[Place, ...] = field(default=(), kw_only=True, repr=False, compare=False)

    def __call__(self, params: Params, frozen: Params, inputs: Tree, targets: Tensor | None) -> Tensor:
        """Losses (B,) of one replica."""
        assert targets is not None
        with one_path(targets.device.type):
            return self.loss(self.outputs({**params, **frozen}, inputs), targets)

    def outputs(self, tensors: Params, inputs: Tree) -> Any:
        """What the module gives with other tensors in the place of its own; call it inside `one_path`."""
        if self.written:
            tensors = {k: w.clone() if k in self.written else w for k, w in tensors.items()}
        positional = () if isinstance(inputs, dict) else inputs if isinstance(inputs, tuple) else (inputs,)
        with Scratch(self.scratch):
            return functional_call(self.module, tensors, positional, inputs if isinstance(inputs, dict) else None)

    def __deepcopy__(self, memo: dict[int, Any]) -> "ModuleLosses":
        memo.update(stand_ins(self.module))
        return replace(self, **{f.name: deepcopy(getattr(self, f.name), memo) for f in fields(self)})

    def __getstate__(self) -> dict[str, Any]:
        """All fields, free of graphs.

        Raises:
            InputError: the module holds a lock, which belongs to one process.
        """
        held = list(things(self.module))
        lock = next((path for path, thing in held if isinstance(thing, LOCKS)), None)
        if lock is not None:
            raise InputError(
                f"module holds a lock ({shown(lock)}), which other processes cannot have: give workers=1, or make it"
                " in the forward pass"
            )
        clean = all(thing.is_leaf for _, thing in held if isinstance(thing, Tensor))
        return dict(vars(self if clean else deepcopy(self)))


@dataclass(frozen=True)
class PotentialLosses(Losses):
    """K(w), as the loss of a single sample."""

    fn: Callable[[Params], Tensor]

    def __call__(self, params: Params, frozen: Params, inputs: Tree, targets: Tensor | None) -> Tensor:
        """Loss (1,) of one replica."""
        return self.fn({**params, **frozen}).reshape(1)
