"""Make a Landscape of a module with data, or of an analytic function."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import grad, vmap
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from thalweg.errors import InputError, first_line, guarded
from thalweg.landscape._copies import copied, inside
from thalweg.landscape._fit import check_weights
from thalweg.landscape._held import untouched
from thalweg.landscape._loss import Loss, PerSample, by_name
from thalweg.landscape._passes import ModuleLosses, PotentialLosses, check_mode
from thalweg.landscape._probe import probed
from thalweg.landscape._suited import check_data
from thalweg.landscape.data import Data, materialise
from thalweg.landscape.landscape import Landscape
from thalweg.tree import Layout
from thalweg.types import Params, Tree

LARGE = 1 << 18  # weights from which one replica fills the machine
TWINS, ROWS = 16, 64  # equal replicas, and samples, with which the batched engine is tried


def landscape(
    module: nn.Module, data: Any, loss: Loss | str, *, n: int | None = None, name: str | None = None
) -> Landscape:
    """Make the loss landscape of a module.

    The module is copied and put in eval mode; its parameters that require gradients move, the rest
    and the buffers stay as the checkpoint has them. It is run by one path, with gradients or without:
    no faster attention, nothing compiled, nothing spread over devices. What a forward pass writes to
    is put back after it.

    Args:
        module: any `nn.Module`, its weights at w*.
        data: `(inputs, targets)` as tensors, a `Dataset` or a `DataLoader`. A tuple of inputs is
            given to the module as its arguments, a dict as keyword arguments.
        loss: `loss(outputs, targets)`. Torch's losses get `reduction="none"`; any other returns one
            number per sample, in nats; or the name of one of torch's, `"cross_entropy"`. Axes behind the
            first are averaged over tokens where targets are integers, summed where they are numbers.
        n: sample size of the theory; default the number of samples (sequences, not tokens).
        name: identity in a store of what its source cannot identify (lambdas, closures).

    Returns:
        A `Landscape` at the module's weights.

    Raises:
        InputError: module, data or loss of a kind that cannot be honoured, named with its remedy.
    """
    check_mode()
    if not isinstance(module, nn.Module):
        raise InputError(f"module is a {type(module).__name__}: give an instance of torch.nn.Module")
    samples = materialise(data)
    per_sample = PerSample(by_name(loss) if isinstance(loss, str) else loss)
    if samples.targets.ndim == 1 and per_sample.ignores(samples.targets):
        raise InputError(
            f"targets hold the label {per_sample.ignored}, which the loss ignores: leave those samples out"
        )
    found = of_losses(ModuleLosses(copied(module), per_sample), samples, n=n, name=name)
    prefix = inside(module)[1]
    wrapped = ((prefix + key, own) for key, own in _names(found).items()) if prefix else ()
    return replace(found, aliases=(*found.aliases, *wrapped))


def of_losses(losses: ModuleLosses, samples: Data, *, n: int | None, name: str | None) -> Landscape:
    """The landscape of a module's losses around the weights that the module has, in eval mode and nobody else's."""
    module = losses.module
    moving = {k: w.detach() for k, w in module.named_parameters() if w.requires_grad}
    frozen = {k: w.detach() for k, w in module.named_parameters() if not w.requires_grad}
    frozen |= {k: b.detach() for k, b in module.named_buffers()}
    layout = Layout.of(moving)
    check_weights(moving, frozen)
    module.requires_grad_(False)
    result = Landscape(
        losses=losses,
        params=moving,
        frozen=frozen,
        data=samples.to(next(iter(moving.values())).device),
        n=_sample_size(len(samples) if n is None else n),
        engine="serial",
        engine_reason="",
        aliases=_aliases(module),
        optional=frozenset(frozen) - frozenset(module.state_dict()),
        name=name,
    )
    with torch.random.fork_rng(devices=[]), guarded("module and loss"), untouched(module):
        _check(replace(result, frozen={k: w.clone() for k, w in frozen.items()}), samples)
    result = probed(result)
    return _with_engine(result, _static_reason(module, layout.width))


def other_data(scape: Landscape, data: Any, what: str) -> Data:
    """Data beside a landscape's own, for which its module and loss are asked too.

    Args:
        scape: of a module.
        data: of any kind that `landscape` takes.
        what: `test`, or another word for them in a message.

    Raises:
        InputError: as of `landscape`.
    """
    try:
        samples = materialise(data).to(scape.device)
        with guarded("module and loss"):
            _check(scape, samples)
    except InputError as error:
        raise InputError(f"{what} data: {error}") from error
    return samples


def _check(scape: Landscape, samples: Data) -> None:
    """Hold data against module and loss; other losses make outputs and targets of their own."""
    if type(scape.losses) is ModuleLosses:
        check_data(scape, samples)


def potential(fn: Callable[[Params], Tensor], center: Params, n: int, *, name: str | None = None) -> Landscape:
    """Make the landscape of an analytic function.

    Args:
        fn: K(w) >= 0 as a scalar, nats per sample, of a dict of tensors like `center`.
        center: w*, a dict of floating tensors.
        n: sample size of the theory, at least 2.
        name: identity in a store, for lambdas and closures.

    Raises:
        InputError: `fn` does not return a finite scalar, or has no gradient.
    """
    if not isinstance(center, dict):
        raise InputError(f"center is a {type(center).__name__}: give a dict of tensors, and take one in fn")
    params = {k: w.detach().clone() for k, w in center.items()}
    width = Layout.of(params).width
    check_weights(params, {})
    with guarded("potential", "give a function of a dict of tensors with center's names"):
        value = fn(params)
    if not isinstance(value, Tensor) or value.numel() != 1 or not torch.isfinite(value).all():
        raise InputError(f"potential returned {value!r} at its centre: return K(w) as a finite scalar tensor")
    with guarded("gradient of the potential", "compute it by torch, of the tensors that it is given"):
        moved = {k: w.clone().requires_grad_() for k, w in params.items()}
        torch.autograd.grad(fn(moved), list(moved.values()), allow_unused=True)
    result = Landscape(
        losses=PotentialLosses(fn),
        params=params,
        frozen={},
        data=None,
        n=_sample_size(n),
        engine="serial",
        engine_reason="",
        name=name,
    )
    return _with_engine(result, _static_reason(nn.Identity(), width))


def _sample_size(n: int) -> int:
    """N must have a logarithm that is positive."""
    try:
        whole = int(n) == n and n >= 2
    except (TypeError, ValueError, OverflowError):
        whole = False
    if not whole:
        raise InputError(f"n = {n}: the sample size is a whole number of at least 2: give more samples, or n=")
    return int(n)


def _names(scape: Landscape) -> dict[str, str]:
    """All names of tensors, each with the one that stands for it."""
    return {key: key for key in (*scape.params, *scape.frozen)} | dict(scape.aliases)


def _aliases(module: nn.Module) -> tuple[tuple[str, str], ...]:
    """Names of tied parameters, each with the name that `named_parameters` gives."""
    first: dict[int, str] = {}
    every = module.named_parameters(remove_duplicate=False)
    return tuple((key, own) for key, w in every if (own := first.setdefault(id(w), key)) != key)


def _static_reason(module: nn.Module, width: int) -> str:
    """Why a model runs replica by replica, or an empty string."""
    kinds = {type(m).__name__ for m in module.modules() if isinstance(m, _ConvNd | nn.RNNBase)}
    if kinds:
        return f"{', '.join(sorted(kinds))}: vmap cannot take it or takes it slower"
    norms = {type(m).__name__ for m in module.modules() if isinstance(m, _NormBase)}
    if norms:  # one channel for each replica's channel: sums over samples are cut across replicas
        return f"{', '.join(sorted(norms))}: under vmap a replica's bits would depend on its neighbours"
    if width >= LARGE:
        return f"{width} weights, at least {LARGE}: one replica fills the machine"
    return ""


def _with_engine(scape: Landscape, reason: str) -> Landscape:
    """Record the engine: batched where nothing speaks against it and vmap takes the model."""
    if not reason:
        try:
            reason = _try_vmap(scape)
        except (RuntimeError, ValueError, NotImplementedError, TypeError) as error:
            reason = f"vmap refused: {first_line(error)}"
    engine = "serial" if reason else "batched"
    return replace(scape, engine=engine, engine_reason=reason or "vmap takes the model")


def _try_vmap(scape: Landscape) -> str:
    """Gradients of equal replicas on a few samples: empty if vmap takes the model and gives them equal bits.

    Replicas that share their samples are tried as well: a chain draws batches of its own, or sees all the data.
    """
    twins = {k: torch.stack([w] * TWINS) for k, w in scape.params.items()}
    frozen = {k: w.expand(TWINS, *w.shape) for k, w in scape.frozen.items()}
    few = torch.arange(min(ROWS, len(scape.data) if scape.data else 0), device=scape.device)

    def mean_loss(params: Params, frozen: Params, inputs: Tree, targets: Tensor | None) -> Tensor:
        return scape.losses(params, frozen, inputs, targets).mean()

    def gradients(rows: Tensor) -> Params:
        inputs, targets = scape.data.take(rows) if scape.data else (None, None)
        axis = 0 if scape.data and rows.ndim == 2 else None
        return vmap(grad(mean_loss), in_dims=(0, 0, axis, axis))(twins, frozen, inputs, targets)

    with torch.no_grad():
        grads = gradients(few.repeat(TWINS, 1))
        if scape.data is not None:
            gradients(few[:2])
    equal = all(torch.equal(g[:1].expand_as(g).nan_to_num(), g.nan_to_num()) for g in grads.values())
    return "" if equal else "under vmap equal replicas have other bits"
