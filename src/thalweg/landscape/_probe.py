"""At the door: a few passes show whether the loss is one per sample, of the weights alone, by one path."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from thalweg.errors import InputError, guarded, shown
from thalweg.landscape._held import changed, put_back, seen, things
from thalweg.landscape._loss import check
from thalweg.landscape._passes import ModuleLosses, one_path
from thalweg.landscape.landscape import Landscape
from thalweg.tree import leaves
from thalweg.types import Params, Tree

FEW = 3  # samples
HOOKS = "tensors are saved through hooks"
Batch = tuple[Tree, Tensor]


def probed(scape: Landscape) -> Landscape:
    """The landscape, which knows what a forward pass writes to; or a refusal.

    Raises:
        InputError: what is not a per-sample loss of the weights alone, with gradients by torch.
    """
    assert scape.data is not None
    assert isinstance(scape.losses, ModuleLosses)
    size = min(len(scape.data), FEW)
    batch = scape.data.take(slice(0, size))
    with torch.random.fork_rng(devices=[]), guarded("module and loss"):
        losses = _settled(scape, scape.losses, batch)
        scape = replace(scape, losses=losses)
        with torch.no_grad():
            first = scape.losses(scape.params, scape.frozen, *batch)
            if size > 1:
                check(first, size)
            again = scape.losses(scape.params, scape.frozen, *batch)
        if torch.isfinite(first).all() and not torch.equal(first, again):
            raise InputError(
                "two passes over the same samples give other losses: the module draws random numbers in eval mode, or"
                " keeps something from pass to pass: make its forward pass deterministic"
            )
        _check_alone(scape, first)
        _check_gradient(scape, losses, batch, first)
    return scape


def _settled(scape: Landscape, losses: ModuleLosses, batch: Batch) -> ModuleLosses:
    """The losses after a first pass, on copies of its tensors, that showed what is written to."""
    params, frozen = ({k: w.clone() for k, w in given.items()} for given in (scape.params, scape.frozen))
    before = seen(losses.module)
    try:
        with torch.no_grad():
            losses(params, frozen, *batch)
    finally:
        places = changed(before)
        put_back(before, places)
    moved = _written(scape.params, params)
    if moved:
        raise InputError(
            f"the forward pass writes to the weights {shown(moved[0])}, so that the loss is no function of them"
            " (max_norm of an embedding does): leave that out"
        )
    return replace(losses, written=frozenset(_written(scape.frozen, frozen)), scratch=places)


def _written(before: Params, after: Params) -> list[str]:
    """Names of tensors that a pass wrote to; past their counter of versions, if it used `.data`."""
    return [k for k, w in after.items() if w._version or not torch.equal(_bits(w), _bits(before[k]))]


def _bits(w: Tensor) -> Tensor:
    return w.nan_to_num() if w.is_floating_point() or w.is_complex() else w


def _check_alone(scape: Landscape, first: Tensor) -> None:
    """A sample's loss is its own."""
    assert scape.data is not None
    one_by_one = "let the forward pass treat samples one by one (running statistics, not those of the batch)"
    with torch.no_grad(), guarded("module and loss, which take several samples, on a single sample", one_by_one):
        batches = [scape.data.take(slice(i, i + 1)) for i in range(len(first))]
        alone = [scape.losses(scape.params, scape.frozen, *batch) for batch in batches]
    if not torch.allclose(torch.cat(alone), first, rtol=1e-3, atol=1e-5, equal_nan=True):
        raise InputError(
            "the loss of a sample changes with the samples beside it: give outputs and targets one shape (none is"
            " broadcast against the other), and let the forward pass treat samples one by one"
        )


def _check_gradient(scape: Landscape, losses: ModuleLosses, batch: Batch, quiet: Tensor) -> None:
    """The loss with gradients is `quiet`, (B,) without; its gradient is one of the weights, dense."""
    loud, grads, other = _graph(scape, losses, batch)
    eps = torch.finfo(quiet.dtype).eps
    if not torch.allclose(loud, quiet, rtol=eps**0.5, atol=100 * eps, equal_nan=True):
        worst = int((loud - quiet).abs().nan_to_num().argmax())
        raise InputError(
            f"the loss of sample {worst} is {float(loud[worst]):.6g} with gradients and {float(quiet[worst]):.6g}"
            " without: let the forward pass take one path (no torch.is_grad_enabled(), no requires_grad in it)"
        )
    sparse = next((name for name, g in grads.items() if g is not None and g.is_sparse), None)
    if sparse is not None:
        raise InputError(f"the gradient of {shown(sparse)} is sparse: leave out sparse=True")
    if other:
        raise InputError(
            f"the loss depends on {other}, which asks for gradients and is no parameter of the module: register"
            " it (nn.Parameter, nn.ModuleList), compute it in the forward pass from self, or switch its requires_grad"
            " off"
        )


def _graph(scape: Landscape, losses: ModuleLosses, batch: Batch) -> tuple[Tensor, dict[str, Tensor | None], str]:
    """Losses (B,) with gradients, the gradients of their sum, and what else the outputs depend on, in words."""
    params = {k: w.detach().requires_grad_() for k, w in scape.params.items()}
    inputs, targets = batch
    try:
        with torch.enable_grad(), torch.autograd.graph.disable_saved_tensors_hooks(HOOKS):
            if type(losses) is ModuleLosses:  # weights of a loss are none of the module's
                with one_path(targets.device.type):
                    outputs = losses.outputs({**params, **scape.frozen}, inputs)
                    loud = losses.loss(outputs, targets)
            else:
                outputs = loud = losses(params, scape.frozen, inputs, targets)
            with guarded("gradient of the loss", "compute outputs and loss by torch, from the weights"):
                grads = torch.autograd.grad(loud.sum(), list(params.values()), allow_unused=True)
    except (RuntimeError, InputError) as error:
        if HOOKS in str(error) or "checkpoint" in str(error):
            raise InputError(
                "the forward pass saves memory through hooks or computes parts again (torch.utils.checkpoint), when"
                " the weights it was given are gone: switch that off"
            ) from error
        raise
    own = {id(w) for w in params.values()}
    others = (_named(losses.module, w) for w in _sources(outputs) if id(w) not in own)
    return loud.detach(), dict(zip(params, grads, strict=True)), next(filter(None, others), "")


def _sources(outputs: Tree) -> list[Tensor]:
    """The tensors without a history that ask for gradients and that outputs were computed from."""
    found, known = [], set()
    waiting = [t.grad_fn for t in leaves(outputs) if isinstance(t, Tensor) and t.grad_fn is not None]
    while waiting:
        node = waiting.pop()
        if node in known:
            continue
        known.add(node)
        variable = getattr(node, "variable", None)  # of a leaf
        if variable is not None:
            found.append(variable)
        waiting.extend(after for after, _ in node.next_functions if after is not None)
    return found


def _named(module: nn.Module, tensor: Tensor) -> str:
    """Where the module holds a tensor; empty for one that the pass has made itself."""
    for path, thing in things(module):
        own = dict(thing.named_parameters(recurse=False)) if isinstance(thing, nn.Module) else {}
        for place, held in {path: thing, **{f"{path}.{name}": w for name, w in own.items()}}.items():
            if held is tensor:
                return shown(place)
    return f"a parameter of shape {tuple(tensor.shape)} from elsewhere" if isinstance(tensor, nn.Parameter) else ""
