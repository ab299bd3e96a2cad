"""Data of any common kind, materialised once as tensors, or refused by name."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    default_collate,
)

from thalweg.errors import InputError
from thalweg.tree import leaves, map_tensors, rebuild
from thalweg.types import Tree

LIMIT = 4 << 30  # bytes of data that are held in memory
TWICE = 256  # samples that are read twice, to find a random transform


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
        lengths = {len(t) if t.ndim else 0 for t in leaves(self.inputs)}
        if len(lengths) != 1 or lengths != {len(self.targets) if self.targets.ndim else 0}:
            raise InputError(
                f"data of unequal length: inputs have {sorted(lengths)} samples, targets have"
                f" {list(self.targets.shape)[:1]}: give one target for each input"
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
        InputError: names what cannot be honoured: an iterable data set, a sampler that weights or
            selects, random transforms, `drop_last`, more than 4 GiB.
    """
    if isinstance(data, Data):
        return data
    if isinstance(data, tuple | list) and len(data) == 2:
        found = Data(_tensors(data[0]), _tensors(data[1]))
        return Data(map_tensors(torch.clone, found.inputs), found.targets.clone())  # the caller may write to theirs
    if isinstance(data, DataLoader):
        _refuse_loader(data)
        return _read(data.dataset, data.collate_fn)
    if isinstance(data, dict):
        raise InputError("data is a dict: give (inputs, targets); the inputs may be a dict of tensors")
    if isinstance(data, Dataset) or (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
        return _read(data, default_collate)
    raise InputError(
        f"data of type {type(data).__name__} is not understood: give (inputs, targets) as tensors, a Dataset or a"
        " DataLoader"
    )


def _tensors(part: Any) -> Any:
    """Arrays and lists of numbers become tensors; trees of tensors stay."""
    if isinstance(part, Tensor):
        return part
    if isinstance(part, tuple | list) and all(isinstance(t, Tensor) for t in part):
        return tuple(part)
    if isinstance(part, dict):
        return {k: _tensors(v) for k, v in part.items()}
    try:
        return torch.as_tensor(part)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"data of type {type(part).__name__} is no tensor: convert it with torch.as_tensor"
        ) from error


def _refuse_loader(loader: DataLoader) -> None:
    """Name what a loader does that our own batches would not honour."""
    dataset: Any = loader.dataset
    sampler: Any = loader.sampler
    if isinstance(dataset, IterableDataset):
        raise InputError(
            f"IterableDataset {type(dataset).__name__} has no length: give a map-style Dataset or tensors"
        )
    if loader.batch_sampler is not None and type(loader.batch_sampler) is not torch.utils.data.BatchSampler:
        raise InputError(f"batch sampler {type(loader.batch_sampler).__name__} cannot be honoured: give its Dataset")
    plain = type(sampler) is SequentialSampler
    shuffled = type(sampler) is RandomSampler and not sampler.replacement and len(sampler) == len(dataset)
    if not (plain or shuffled):
        raise InputError(
            f"sampler {type(sampler).__name__} cannot be honoured, batches are drawn uniformly here: give a Dataset"
            " of the samples that count (torch.utils.data.Subset)"
        )
    if loader.drop_last and loader.batch_size and len(dataset) % loader.batch_size:
        raise InputError("drop_last would drop samples: give the DataLoader drop_last=False")


def _read(dataset: Any, collate: Any) -> Data:
    """Read every sample once, the first ones twice."""
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
        raise InputError(f"{type(dataset).__name__} has no length: give a map-style Dataset or tensors")
    total, held, parts = len(dataset), 0, []
    if total == 0:
        raise InputError("data is empty: give at least two samples")
    for start in range(0, total, TWICE):
        rows = range(start, min(start + TWICE, total))
        part = collate([dataset[i] for i in rows])
        if not (isinstance(part, tuple | list) and len(part) == 2):
            raise InputError(f"samples of {type(dataset).__name__} are not pairs: give (input, target) pairs")
        if start == 0:
            _refuse_random(dataset, part, collate([dataset[i] for i in rows]))
        held += sum(t.numel() * t.element_size() for t in leaves(part) if isinstance(t, Tensor))
        if held > LIMIT:
            raise InputError(
                f"{type(dataset).__name__} is larger than {LIMIT >> 30} GiB in memory: give a Subset of it and n="
            )
        parts.append(part)
    columns = zip(*(leaves(part) for part in parts), strict=True)
    inputs, targets = rebuild(parts[0], [torch.cat(column) for column in columns])
    return Data(tuple(inputs) if isinstance(inputs, list) else inputs, targets)


def _refuse_random(dataset: Any, first: Tree, second: Tree) -> None:
    """Two readings of one sample must agree."""
    if all(torch.equal(a, b) for a, b in zip(leaves(first), leaves(second), strict=True)):
        return
    transform = type(getattr(dataset, "transform", dataset)).__name__
    raise InputError(
        f"two readings of one sample differ: {transform} of {type(dataset).__name__} is random: switch it off, or"
        " materialise one draw of it as tensors"
    )
