"""Data sets that are read sample by sample: every one once, the first ones twice, and the last one early.

What is wrong is said at once: sample 0 is read twice, then the next ones and the last, before all others.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from thalweg.errors import InputError, first_line
from thalweg.landscape._arrays import plain, same, type_of, unequal
from thalweg.landscape._places import Flat, flat, pair, skeleton
from thalweg.tree import leaves, rebuild, structure_of
from thalweg.types import Tree

LIMIT = 4 << 30  # bytes of data that are held in memory
TWICE = 256  # samples that are read twice, to find a random transform
EARLY = 3  # samples that are read before the last one
LEAVE = "mend that sample, or leave it out (torch.utils.data.Subset)"


@dataclass(frozen=True)
class _Source:
    """A map-style data set, and the number of samples that it says it has."""

    dataset: Any
    total: int

    @property
    def kind(self) -> str:
        """Its class, by name."""
        return type(self.dataset).__name__

    def at(self, i: int) -> Any:
        """Sample i, whatever it is.

        Raises:
            InputError: what its own code raises, with the number of the sample.
        """
        try:
            return self.dataset[i]
        except (Exception, SystemExit) as error:
            if isinstance(error, IndexError) and i == self.total - 1:
                end = self._end(i)
                lies = f"its length says {self.total}, sample {end} is not there (IndexError: {first_line(error)})"
                raise InputError(f"{self.kind}: {lies}: let __len__ return the number of samples") from error
            raise InputError(
                f"{self.kind}: sample {i} failed: {type(error).__name__}: {first_line(error)}: {LEAVE}"
            ) from error

    def _end(self, missing: int) -> int:
        """The first sample of those that are missing up to this one."""
        there, lacking = -1, missing
        while lacking - there > 1:
            middle = (there + lacking) // 2
            try:
                self.dataset[middle]
                there = middle
            except (Exception, SystemExit):  # whatever it raises, it has no sample there
                lacking = middle
        return lacking


def length(dataset: Any) -> int:
    """The number of samples that a data set says it has.

    Raises:
        InputError: it has none, or does not say.
    """
    kind = type(dataset).__name__
    if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
        raise InputError(f"{kind} has no length: give a map-style Dataset or tensors")
    try:
        total = len(dataset)
    except (Exception, SystemExit) as error:
        raise InputError(
            f"{kind}: its length failed: {type(error).__name__}: {first_line(error)}: let __len__ return the number"
            " of samples"
        ) from error
    if total == 0:
        raise InputError(f"data is empty: {kind} has no sample: give at least two")
    return total


def read(dataset: Any) -> tuple[Tree, Tree]:
    """Every sample of a map-style data set of (input, target) pairs, stacked as torch's default_collate does.

    Returns:
        Inputs and targets, trees of (n, ...).

    Raises:
        InputError: a sample that fails, is no pair, or differs from sample 0 in structure, shape or type of
            numbers; two readings that differ; more than 4 GiB.
    """
    source = _Source(dataset, length(dataset))
    like = pair(source.at(0), source.kind, 0)
    first = {name: t.clone() for name, t in flat(like, 0).items()}  # a data set may write into one buffer
    for part in ("input", "target"):
        if not any(name.startswith(part) for name in first):
            raise InputError(f"{source.kind}, sample 0: its {part} holds no number: give (input, target) pairs")
    _refuse_random(source, first, 0)
    for i in [*range(1, min(EARLY, source.total)), source.total - 1]:
        _sample(source, i, first)
    _refuse_large(source, sum(t.numel() * t.element_size() for t in first.values()) * source.total)
    stacked = {
        name: torch.empty((source.total, *t.shape), dtype=t.dtype, device=t.device) for name, t in first.items()
    }
    for i in range(source.total):
        for name, t in _sample(source, i, first).items():
            stacked[name][i] = t
        if i == min(TWICE, source.total) - 1:
            for again in range(i + 1):
                _refuse_random(source, {name: whole[again] for name, whole in stacked.items()}, again)
    return skeleton(like[0], "input", stacked), skeleton(like[1], "target", stacked)


def read_collated(dataset: Any, collate: Callable[[list[Any]], Any]) -> tuple[Tree, Tree]:
    """Every sample through a loader's own collate_fn, in batches of 256.

    Returns:
        Inputs and targets, trees of (n, ...).

    Raises:
        InputError: a sample or the collate_fn that fails, batches that are no pairs, or do not fit together.
    """
    source, held, parts = _Source(dataset, length(dataset)), 0, []
    source.at(0)
    source.at(source.total - 1)
    for start in range(0, source.total, TWICE):
        rows = range(start, min(start + TWICE, source.total))
        part = _collated(source, rows, collate)
        if start == 0:
            one, again = leaves(part), leaves(_collated(source, rows, collate))
            if len(one) != len(again) or not all(map(same, one, again)):
                raise _is_random(source, 0)
        _refuse_unlike(part, parts[0] if parts else part, start)
        held += sum(t.numel() * t.element_size() for t in leaves(part))
        _refuse_large(source, held)
        parts.append(part)
    return rebuild(parts[0], [torch.cat(column) for column in zip(*(leaves(part) for part in parts), strict=True)])


def _collated(source: _Source, rows: range, collate: Callable[[list[Any]], Any]) -> Any:
    """One batch, a pair of trees of tensors."""
    samples = [source.at(i) for i in rows]
    try:
        inputs, targets = pair(collate(samples), source.kind, None)
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise InputError(
            f"collate_fn of samples {rows[0]} to {rows[-1]} failed: {type(error).__name__}: {first_line(error)}: let"
            " it return (inputs, targets) as tensors"
        ) from error
    batch = (dict(inputs) if isinstance(inputs, Mapping) and not isinstance(inputs, dict) else inputs), targets
    for leaf in leaves(batch):
        if not isinstance(leaf, Tensor) or not leaf.ndim:
            what = "a single number" if isinstance(leaf, Tensor) else f"a {type(leaf).__name__}"
            raise InputError(f"collate_fn returns {what}: let it return (inputs, targets) as tensors, a row a sample")
    return rebuild(batch, [plain(t, "collate_fn") for t in leaves(batch)])


def _refuse_unlike(part: Tree, first: Tree, start: int) -> None:
    """Batches of a collate_fn have one structure, shape and type."""
    if structure_of(part) != structure_of(first):
        raise InputError(f"collate_fn returns another structure from sample {start} on: give all samples one")
    for t, like in zip(leaves(part), leaves(first), strict=True):
        if t.shape[1:] != like.shape[1:] or t.dtype != like.dtype:
            raise InputError(
                f"collate_fn returns {type_of(t.dtype)} of shape {tuple(t.shape[1:])} a sample from sample {start}"
                f" on, {type_of(like.dtype)} of shape {tuple(like.shape[1:])} before: pad all to one shape, in one"
                " type"
            )


def _sample(source: _Source, i: int, first: Flat) -> Flat:
    """The tensors of sample i, which has the places, shapes and types of sample 0."""
    found = flat(pair(source.at(i), source.kind, i), i)
    if found.keys() != first.keys():
        odd = sorted(found.keys() ^ first.keys())[0]
        has, lacks = (i, 0) if odd in found else (0, i)
        raise InputError(
            f"{source.kind}: sample {has} has {odd}, sample {lacks} has none: give all samples one structure"
        )
    for name, t in found.items():
        where, like = f"{source.kind}, {name}", first[name]
        if t.shape != like.shape:
            raise InputError(unequal(where, i, t.shape, like.shape))
        if t.dtype != like.dtype:
            raise InputError(
                f"{where}: sample {i} is {type_of(t.dtype)}, sample 0 {type_of(like.dtype)}: give all one type,"
                f" {type_of(torch.promote_types(t.dtype, like.dtype))}"
            )
    return found


def _refuse_random(source: _Source, held: Flat, i: int) -> None:
    """Read a sample again."""
    again = flat(pair(source.at(i), source.kind, i), i)
    if again.keys() != held.keys() or not all(same(t, again[name]) for name, t in held.items()):
        raise _is_random(source, i)


def _is_random(source: _Source, i: int) -> InputError:
    """Two readings of one sample must agree."""
    transform = type(getattr(source.dataset, "transform", source.dataset)).__name__
    return InputError(
        f"two readings of one sample differ, from sample {i} on: {transform} of {source.kind} is random: switch it"
        " off, or materialise one draw of it as tensors"
    )


def _refuse_large(source: _Source, held: int) -> None:
    """Refuse what does not fit in memory."""
    if held > LIMIT:
        raise InputError(f"{source.kind} is larger than {LIMIT >> 30} GiB in memory: give a Subset of it and n=")
