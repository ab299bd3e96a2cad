"""Whether the outputs of a module and the targets suit the loss: types, shapes, labels.

A remedy is only named that was tried on the first samples and mends it.
"""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thalweg.errors import InputError
from thalweg.landscape._arrays import type_of
from thalweg.landscape._loss import PerSample, check
from thalweg.landscape.data import Data

CALLS = {torch.float32: ".float()", torch.float64: ".double()", torch.int64: ".long()"}

LABELLED = (F.cross_entropy, F.nll_loss, F.multi_margin_loss, nn.CrossEntropyLoss, nn.NLLLoss, nn.MultiMarginLoss)
ELEMENTWISE = (
    *(F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss, F.soft_margin_loss, F.poisson_nll_loss, F.kl_div),
    *(F.binary_cross_entropy, F.binary_cross_entropy_with_logits),
    *(nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss, nn.SoftMarginLoss, nn.PoissonNLLLoss, nn.KLDivLoss),
    *(nn.BCELoss, nn.BCEWithLogitsLoss),
)


def check_targets(loss: PerSample, outputs: Tensor, data: Data) -> None:
    """Hold targets against the outputs of the first samples.

    Raises:
        InputError: another type or shape than the loss wants, labels that are no class.
    """
    targets, few = data.targets, data.targets[: len(outputs)]
    kind = _kind(loss.given)
    if kind in LABELLED and not targets.is_floating_point() and outputs.ndim > 1:
        _check_labels(outputs.shape[1], loss.ignored, targets)
    if kind in ELEMENTWISE and outputs.shape != few.shape:
        seen = f"outputs have shape {_shape(outputs)}, targets {_shape(few)}"
        same = outputs[0].numel() == few[0].numel()
        mended = f"give targets.reshape{_shape(outputs, '-1')}" if same else "give one target for each output"
        raise InputError(f"{seen}: broadcasting would compare outputs with targets that are not theirs: {mended}")
    try:
        loss(outputs, few)
    except Exception:
        _refuse_targets(loss, outputs, data)
        raise
    whole = outputs.is_floating_point() and not targets.is_floating_point()
    if kind in ELEMENTWISE and whole and few[0].numel() > 1:  # whole numbers are taken for tokens, and averaged
        raise _slip(outputs, targets, (outputs.dtype,))


def _refuse_targets(loss: PerSample, outputs: Tensor, data: Data) -> None:
    """Say which type or shape of targets the loss wants, where it then takes them."""
    targets, few = data.targets, data.targets[: len(outputs)]
    column = few.ndim > 1 and few.shape[-1] == 1
    for squeezed in (False, True) if column else (False,):
        tried = few.squeeze(-1) if squeezed else few
        for dtype in (few.dtype, torch.int64, outputs.dtype):
            able = dtype in (few.dtype, *CALLS) and keeps(targets, dtype)
            if able and _takes(loss, outputs, tried.to(dtype)):
                raise _slip(outputs, targets, (dtype,) if dtype != few.dtype else (), squeezed=squeezed)
    labels = _kind(loss.given) in LABELLED and targets.is_floating_point() and few.ndim < outputs.ndim
    for i in (targets != targets.round()).reshape(len(targets), -1).any(1).nonzero()[:1] if labels else ():
        raise InputError(
            f"targets of sample {int(i)} are {targets[int(i)].tolist()}, no label of a class: give whole"
            " numbers, or leave that sample out"
        )


def _slip(outputs: Tensor, targets: Tensor, casts: tuple[torch.dtype, ...], *, squeezed: bool = False) -> InputError:
    """Targets of another type or shape than the loss wants."""
    types = f"targets are {type_of(targets.dtype)}, the outputs {type_of(outputs.dtype)}"
    wants = ", ".join("labels of classes, int64" if to == torch.int64 else f"numbers, {type_of(to)}" for to in casts)
    shapes = f"targets have shape {_shape(targets)}, the outputs {_shape(outputs)}" if squeezed else ""
    told = [shapes, f"{types}: the loss takes {wants}" if casts else ""]
    calls = (".squeeze(-1)" if squeezed else "") + "".join(CALLS[to] for to in casts)
    return InputError(f"{'; '.join(part for part in told if part)}: give targets{calls}")


def _takes(loss: PerSample, outputs: Tensor, targets: Tensor) -> bool:
    """Whether the loss gives one number for each sample."""
    try:
        check(loss(outputs, targets), len(targets))
    except Exception:
        return False
    return True


def _check_labels(classes: int, ignored: int, targets: Tensor) -> None:
    """Every label is a class, and every sample has one."""
    rows = targets.reshape(len(targets), -1).to(torch.int64)
    counts = rows != ignored
    wrong = counts & ((rows < 0) | (rows >= classes))
    if bool(wrong.any()):
        i = int(wrong.any(1).nonzero()[0])
        label = int(rows[i][wrong[i]][0])
        raise InputError(
            f"Target {label} of sample {i} is no class: the module's outputs have {classes}, 0 to"
            f" {classes - 1}: number the labels so, and give the classes axis 1 of the outputs"
        )
    empty = ~counts.any(1)
    if bool(empty.any()):
        i = int(empty.nonzero()[0])
        raise InputError(
            f"targets of sample {i} hold nothing but the label {ignored}, which the loss ignores: leave that"
            " sample out"
        )


def check_neighbours(loss: PerSample, outputs: Tensor, data: Data) -> None:
    """The loss of sample 0 stays beside a sample of another target; equal targets would hide a broadcast.

    Raises:
        InputError: it changes.
    """
    rows = data.targets.reshape(len(data), -1)
    other = (rows != rows[:1]).any(1).nonzero()
    if len(outputs) < 2 or not len(other):
        return
    try:
        beside = loss(outputs[:2], data.targets[[0, int(other[0])]])
        alone = loss(outputs[:1], data.targets[:1])
    except Exception:
        return  # said where the losses of all samples are computed, with the number of the sample
    if not all(isinstance(part, Tensor) and part.ndim == 1 for part in (beside, alone)):
        return  # one number for each sample is asked for elsewhere
    if not torch.allclose(beside[:1], alone, rtol=1e-3, atol=1e-5, equal_nan=True):
        raise InputError(
            f"the loss of a sample changes with the targets beside it: outputs have shape {_shape(outputs)}, targets"
            f" {_shape(data.targets)}, and broadcasting compares all with all: give both one shape"
        )


def keeps(tensor: Tensor, dtype: torch.dtype) -> bool:
    """Whether a type holds the numbers of a tensor, rounded where both are floats."""
    if tensor.is_complex() or (tensor.is_floating_point() and dtype.is_floating_point):
        return not tensor.is_complex()
    return bool((tensor.to(dtype).to(torch.float64) == tensor.to(torch.float64)).all())


def _kind(loss: Any) -> Any:
    """A loss function of torch, or the class of a loss."""
    if isinstance(loss, partial):
        return loss.func
    return type(loss) if isinstance(loss, nn.Module) else loss


def _shape(tensor: Tensor, first: str = "n") -> str:
    """A shape whose first axis are the samples."""
    return f"({first}, {', '.join(map(str, tensor.shape[1:]))})" if tensor.ndim > 1 else f"({first},)"
