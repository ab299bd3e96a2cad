"""Data of any common kind, materialised once as tensors, or refused by name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import (
    DataLoader,
    Dataset,
    RandomSampler,
    SequentialSampler,
    TensorDataset,
    default_collate,
)

from thalweg.errors import InputError
from thalweg.landscape._arrays import tensors
from thalweg.landscape._samples import length, read, read_collated
from thalweg.tree import leaves, map_tensors
from thalweg.types import Tree


@dataclass(frozen=True, eq=False)
class Data:
    """All samples of a data set.

    Attributes:
        inputs: a tree of tensors (n, ...). A tuple is given to the module as its arguments, a dict
            as keyword arguments.
        targets: (n, ...), given to the loss.
    """

    inputs: Tree
    targets: Tensor

    def __post_init__(self) -> None:
        """Check that inputs and targets speak of the same samples."""
        for tensor in [*leaves(self.inputs), self.targets]:
            if not isinstance(tensor, Tensor):
                raise InputError(f"data holds a {type(tensor).__name__}, not a tensor: convert it to tensors")
        if not leaves(self.inputs):
            raise InputError("inputs hold no tensor: give tensors of one row a sample")
        if any(not t.ndim for t in [*leaves(self.inputs), self.targets]):
            raise InputError("data holds a single number in place of a tensor: give tensors of one row a sample")
        lengths = {len(t) for t in leaves(self.inputs)}
        if lengths != {len(self.targets)}:
            raise InputError(
                f"data of unequal length: inputs have {' and '.join(map(str, sorted(lengths)))} samples, targets"
                f" {len(self.targets)}: give one target for each input"
            )
        if lengths == {0}:
            raise InputError("data is empty: give at least two samples")

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.targets)

    def take(self, index: Tensor | slice) -> tuple[Tree, Tensor]:
        """Inputs and targets at an index of any shape; its axes replace the first axis."""
        return map_tensors(lambda t: t[index], self.inputs), self.targets[index]

    def head(self, count: int) -> "Data":
        """The first samples."""
        return Data(*self.take(slice(0, count)))

    def sample_tensors(self) -> list[Tensor]:
        """The tensors of one sample."""
        return [t[0] for t in [*leaves(self.inputs), self.targets]]

    def to(self, device: torch.device) -> "Data":
        """The same on a device."""
        return Data(map_tensors(lambda t: t.to(device), self.inputs), self.targets.to(device))


def materialise(data: Any) -> Data:
    """Read tensors, a `Dataset` or a `DataLoader` into memory, once.

    Samplers here draw their own batches, so a loader's order and batch size are left aside. What
    would change *which* samples are seen is refused.

    Args:
        data: `(inputs, targets)`, a map-style `Dataset` of such pairs, or a `DataLoader` of one.

    Raises:
        InputError: names what cannot be honoured, with the number of the sample where there is one: an
            iterable data set, a sampler that weights or selects, random transforms, `drop_last`, more than
            4 GiB; samples of unequal shape or type, words, objects.
    """
    if isinstance(data, Data):
        return data
    if isinstance(data, tuple | list) and len(data) == 2 and not _two_samples(data):
        return _of_parts(data[0], data[1])
    if isinstance(data, DataLoader):
        _refuse_loader(data)
        own = data.collate_fn is not default_collate
        return _data(*(read_collated(data.dataset, data.collate_fn) if own else read(data.dataset)))
    _refuse_other(data)
    if type(data) is TensorDataset and len(data.tensors) == 2:
        return _of_parts(*data.tensors)
    return _data(*read(data))


def _of_parts(inputs: Any, targets: Any) -> Data:
    """Inputs and targets as one has them in memory, copied: the caller may write to theirs."""
    found = tensors(targets, "targets")
    if not isinstance(found, Tensor):
        kind = type(targets).__name__
        raise InputError(f"targets are a {kind} of {len(found)}, not one tensor: give one (torch.stack of a list)")
    data = _data(tensors(inputs, "inputs", len(found) if found.ndim else None), found)
    return Data(map_tensors(torch.clone, data.inputs), data.targets.clone())


def _data(inputs: Tree, targets: Tree) -> Data:
    """Data whose several inputs are a tuple, as a module takes them."""
    return Data(tuple(inputs) if type(inputs) is list else inputs, targets)


def _two_samples(data: tuple | list) -> bool:
    """Whether a list of two are two samples, not inputs and targets."""
    pairs = isinstance(data, list) and all(isinstance(part, tuple) and len(part) == 2 for part in data)
    return pairs and any(isinstance(t, Tensor | np.ndarray) for t in data[1])


def _refuse_other(data: Any) -> None:
    """Name what is no data set, and what of it would be one."""
    kind = type(data).__name__
    if isinstance(data, Mapping):
        named = ", ".join(repr(name) for name in list(data)[:6])
        raise InputError(f"data is a dict of {named}: give (inputs, targets); the inputs may be a dict of tensors")
    if isinstance(data, type):
        raise InputError(f"data is the class {data.__name__}: give an instance of it")
    if hasattr(data, "to_numpy"):
        raise InputError(f"data is a {kind}: give (data[columns].to_numpy(), data[target].to_numpy())")
    if hasattr(data, "__array__") or isinstance(data, str | bytes):
        raise InputError(f"data is a {kind}, without targets: give (inputs, targets)")
    parts = isinstance(data, tuple | list) and len(data) > 2
    if parts and all(isinstance(t, Tensor | np.ndarray) for t in data):
        raise InputError(
            f"data is a {kind} of {len(data)} tensors: give (inputs, targets), several inputs as a tuple of their own"
        )
    if isinstance(data, Dataset) or (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
        return
    if hasattr(data, "__iter__"):
        raise InputError(f"data is a {kind}, which has no samples by number: give list(…) of it, or tensors")
    raise InputError(
        f"data of type {kind} is not understood: give (inputs, targets) as tensors, a Dataset or a DataLoader"
    )


def _refuse_loader(loader: DataLoader) -> None:
    """Name what a loader does that our own batches would not honour."""
    sampler: Any = loader.sampler
    total = length(loader.dataset)
    if loader.batch_sampler is None:
        raise InputError("DataLoader with batch_size=None gives what its Dataset has batched: give single samples")
    if type(loader.batch_sampler) is not torch.utils.data.BatchSampler:
        raise InputError(f"batch sampler {type(loader.batch_sampler).__name__} cannot be honoured: give its Dataset")
    plain = type(sampler) is SequentialSampler or (type(sampler) is RandomSampler and not sampler.replacement)
    if not plain or length(sampler) != total:
        raise InputError(
            f"sampler {type(sampler).__name__} cannot be honoured, batches are drawn uniformly here: give a Dataset"
            " of the samples that count (torch.utils.data.Subset)"
        )
    if loader.drop_last and loader.batch_size and total % loader.batch_size:
        raise InputError("drop_last would drop samples: give the DataLoader drop_last=False")
