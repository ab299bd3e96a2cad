"""One sample of a data set: a pair of trees, and the tensors in them by their places."""

from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from thalweg.errors import InputError
from thalweg.landscape._arrays import numbers, plain, refuse_text
from thalweg.types import Tree

Flat = dict[str, Tensor]  # the tensors of a sample by their places: `input`, `input['mask']`, `target`


def pair(sample: Any, kind: str, i: int | None) -> tuple[Any, Any]:
    """A sample as (input, target).

    Args:
        sample: whatever the data set, or the collate_fn, gave.
        kind: class of the data set.
        i: number of the sample, None where it is a batch that a collate_fn made.

    Raises:
        InputError: it is no pair: what it is, and the pair that it could be.
    """
    if isinstance(sample, tuple | list) and len(sample) == 2:
        return sample[0], sample[1]
    what, remedy = f"a {type(sample).__name__}", "give (input, target) pairs"
    if isinstance(sample, Mapping):
        names = [repr(name) for name in list(sample)[:6]]
        what = f"a dict of {', '.join(names)}"
        remedy += f", for instance [(s[{names[0]}], s[{names[-1]}]) for s in data]" if len(names) > 1 else ""
    elif isinstance(sample, tuple | list):
        what = f"a {type(sample).__name__} of {len(sample)}"
        remedy += ", several inputs as a tuple of their own" if len(sample) > 2 else ""
    elif sample is None:
        remedy += ", leave out what has none"
    where = "collate_fn returns" if i is None else f"samples of {kind} are not pairs: sample {i} is"
    raise InputError(f"{where} {what}: {remedy}")


def flat(pair: tuple[Any, Any], i: int) -> Flat:
    """The tensors of a sample by their places: `input`, `input['mask']`, `target`."""
    found: Flat = {}
    _gather(pair[0], "input", i, found)
    _gather(pair[1], "target", i, found)
    return found


def _gather(value: Any, name: str, i: int, found: Flat) -> None:
    """Put the tensors of a tree where their places say."""
    if isinstance(value, Tensor):
        found[name] = plain(value, f"sample {i}, {name}")
    elif isinstance(value, np.generic | np.ndarray | int):
        found[name] = numbers(value, f"sample {i}, {name}")
    elif isinstance(value, float):  # of 64 bits, as default_collate makes them
        found[name] = torch.tensor(value, dtype=torch.float64)
    elif isinstance(value, Mapping) and name != "target":
        for key, part in value.items():
            _gather(part, f"{name}[{key!r}]", i, found)
    elif isinstance(value, tuple | list) and name != "target":
        for k, part in enumerate(value):
            _gather(part, f"{name}[{k}]", i, found)
    else:
        _refuse(value, f"sample {i}, {name}")


def _refuse(value: Any, where: str) -> None:
    """Say what is no number."""
    refuse_text(value, where)
    kind = type(value).__name__
    if value is None:
        raise InputError(f"{where} is None: leave that sample out (torch.utils.data.Subset)")
    if isinstance(value, tuple | list | Mapping):
        raise InputError(f"{where} is a {kind}: give one tensor")
    array = hasattr(value, "__array__") or hasattr(value, "__array_interface__")
    made = "torch.as_tensor(numpy.asarray(…))" if array else "tensors or numbers"
    raise InputError(f"{where} is of type {kind}, not a tensor: give {made}")


def skeleton(value: Any, name: str, stacked: Flat) -> Tree:
    """The tree of sample 0 with all samples in the places of its tensors; tuples are lists, as in default_collate."""
    if name in stacked:
        return stacked[name]
    if isinstance(value, Mapping):
        parts = {key: skeleton(part, f"{name}[{key!r}]", stacked) for key, part in value.items()}
        if isinstance(value, defaultdict):
            return defaultdict(value.default_factory, parts)
        return OrderedDict(parts) if isinstance(value, OrderedDict) else parts
    listed = [skeleton(part, f"{name}[{k}]", stacked) for k, part in enumerate(value)]
    return type(value)(*listed) if hasattr(value, "_fields") else listed
