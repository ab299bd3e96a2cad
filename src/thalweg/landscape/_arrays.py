"""Numbers in any container, as tensors: arrays, frames, lists; what holds no numbers is named with its place."""

from collections.abc import Mapping
from numbers import Number
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from thalweg.errors import InputError, first_line, shown
from thalweg.types import Tree

SEARCHED = 1 << 16  # elements of a list among which the odd one is looked for
WIDEST = 8  # bytes of a number that torch holds; complex numbers have two


def tensors(part: Any, where: str, count: int | None = None) -> Tree:
    """Inputs or targets as tensors; several arguments of a module stay a tuple, keyword arguments a dict.

    Args:
        part: a tensor, an array, a frame, a list of numbers, or tuples and dicts of them.
        where: its name in a message.
        count: number of samples, where it is known: as many arrays are samples, not arguments.

    Raises:
        InputError: what holds no numbers, by its place and kind.
    """
    if isinstance(part, Tensor):
        return plain(part, where)
    if isinstance(part, Mapping):
        return {k: tensors(v, f"{where}[{k!r}]", count) for k, v in part.items()}
    if isinstance(part, tuple | list) and part and all(isinstance(t, Tensor) for t in part):
        if len(part) == count and any(t.ndim == 0 or len(t) != count for t in part):
            raise InputError(f"{where} are {count} tensors, one a sample: give torch.stack({where})")
        return tuple(plain(t, f"{where}[{i}]") for i, t in enumerate(part))
    held = isinstance(part, tuple | list) and any(
        isinstance(t, Mapping) or (isinstance(t, Tensor) and t.ndim) for t in part
    )
    arrays = isinstance(part, tuple) and bool(part) and all(isinstance(t, np.ndarray) for t in part)
    if held or (arrays and len(part) != count):
        return tuple(tensors(t, f"{where}[{i}]", count) for i, t in enumerate(part))
    return numbers(part, where)


def plain(tensor: Tensor, where: str) -> Tensor:
    """A tensor without its graph, and without the class that a library gave it.

    Raises:
        InputError: a sparse, quantised or nested tensor, one without numbers.
    """
    if tensor.is_nested or tensor.is_quantized or tensor.is_meta or tensor.layout != torch.strided:
        _refuse_kind(tensor, where)
    bare = tensor if type(tensor) is Tensor else tensor.as_subclass(Tensor)
    bare = bare.detach() if bare.requires_grad else bare
    return bare.resolve_conj().resolve_neg() if bare.is_conj() or bare.is_neg() else bare


def _refuse_kind(tensor: Tensor, where: str) -> None:
    """Name what is no plain array of numbers, with the call that makes it one."""
    kind, call = f"stored as {str(tensor.layout).removeprefix('torch.')}", "its .to_dense()"
    if tensor.is_nested:
        kind, call = "nested", "its .to_padded_tensor(0)"
    elif tensor.is_quantized:
        kind, call = "quantised", "its .dequantize()"
    elif tensor.is_meta:
        kind, call = "on the meta device, without numbers", "one that holds some"
    raise InputError(f"{where}: the tensor is {kind}: give a plain tensor, {call}")


def numbers(part: Any, where: str) -> Tensor:
    """An array, a frame or nested lists of numbers as a tensor.

    Raises:
        InputError: words, objects, rows of unequal length, each with its place.
    """
    if isinstance(part, Dataset | DataLoader):
        raise InputError(f"{where}: a {type(part).__name__} is no tensor: give one Dataset or DataLoader, alone")
    if hasattr(part, "__array__"):
        return _of_array(part, where)
    refuse_text(part, where)
    if hasattr(part, "toarray"):
        raise InputError(f"{where}: a {type(part).__name__} is sparse: give its .toarray()")
    if isinstance(part, tuple | list) and part and all(isinstance(t, np.ndarray) for t in part):
        _refuse_odd(part, where)
        return _of_array(np.stack(part), where)
    try:
        return torch.as_tensor(part)
    except Exception as error:
        if isinstance(part, tuple | list):
            _refuse_odd(part, where)
        raise InputError(
            f"{where}: a {type(part).__name__} is no tensor ({first_line(error)}): give a tensor of numbers"
        ) from error


def refuse_text(value: Any, where: str) -> None:
    """Refuse text or bytes, with what makes a number of it."""
    if isinstance(value, str | bytes):
        word = shown(value if isinstance(value, str) else value.decode("latin-1"))
        what = "map labels to numbers, sorted(set(labels)).index(label)" if "target" in where else "tokenise it"
        raise InputError(f"{where}: {word!r} is text, not a number: {what}")


def _of_array(part: Any, where: str) -> Tensor:
    """What numpy reads as an array: its own arrays, frames, images."""
    try:
        array = part if isinstance(part, np.ndarray) else np.asarray(part)
    except Exception as error:
        raise InputError(
            f"{where}: a {type(part).__name__} is no array ({first_line(error)}): give a tensor of numbers"
        ) from error
    if np.ma.is_masked(part):
        row = int(np.argwhere(np.ma.getmaskarray(part))[0][0]) if array.ndim else 0
        raise InputError(f"{where}: sample {row} is masked, without a number: fill it, or leave that sample out")
    if array.dtype.kind in "USO":
        _refuse_elements(array, where)
    if array.dtype.kind not in "biufc" or array.dtype.itemsize > WIDEST * (1 + (array.dtype.kind == "c")):
        raise InputError(f"{where}: numbers of type {array.dtype} have no place in a tensor: .astype(numpy.float64)")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()  # torch shares neither
    return torch.as_tensor(array)


def _refuse_elements(array: np.ndarray, where: str) -> None:
    """Name the first element of an array of text or objects that is no number."""
    for i, value in enumerate(array.reshape(len(array) if array.ndim else 1, -1)):
        for element in value.tolist():
            refuse_text(element, f"{where}, sample {i}")
            if not isinstance(element, Number) or element is None:
                raise InputError(
                    f"{where}, sample {i}: a {type(element).__name__} is no number: fill it, or leave that sample out"
                )
    raise InputError(f"{where}: numbers of type {array.dtype} are held one by one: .astype(numpy.float32)")


def _refuse_odd(part: tuple | list, where: str) -> None:
    """Name the first element of a list that is no number, or has another shape than the first."""
    first: Tensor | None = None
    for i, value in enumerate(part[:SEARCHED]):
        found = numbers(value, f"{where}, sample {i}")
        first = found if first is None else first
        if found.shape != first.shape:
            raise InputError(unequal(where, i, found.shape, first.shape))


def type_of(dtype: torch.dtype) -> str:
    """A type of numbers, without torch's name."""
    return str(dtype).removeprefix("torch.")


def same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors hold the same numbers in the same type, NaN being one."""
    return a.shape == b.shape and a.dtype == b.dtype and bool(((a == b) | ((a != a) & (b != b))).all())


def unequal(where: str, i: int, shape: tuple[int, ...], first: tuple[int, ...]) -> str:
    """Two samples of unequal shape, in words."""
    return (
        f"{where}: sample {i} has shape {tuple(shape)}, sample 0 {tuple(first)}: pad all to one shape"
        " (torch.nn.utils.rnn.pad_sequence), or leave that sample out"
    )
