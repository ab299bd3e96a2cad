"""Named parameters as one flat vector, and back.                                D = weights

The samplers move a matrix (R, D); a module wants names and shapes. Views both ways, no copies
where torch allows it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from thalweg.errors import InputError, shown
from thalweg.types import Params, Tree


@dataclass(frozen=True)
class Layout:
    """Where each named parameter lies in the flat vector.

    Attributes:
        names: in the order of the vector.
        shapes: of one replica.
        dtype: one floating type for all.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, params: Params) -> "Layout":
        """Read the layout off one replica's parameters.

        Raises:
            InputError: no parameters, or parameters of more than one type.
        """
        if not params:
            raise InputError("no parameters to move: none requires grad, or the restriction left none")
        dtypes = {str(w.dtype) for w in params.values()}
        if len(dtypes) > 1 or not dtypes <= {"torch.float32", "torch.float64"}:
            raise InputError(f"parameters of types {sorted(dtypes)}: convert the module to one, float32 or float64")
        shapes = tuple(tuple(w.shape) for w in params.values())
        return cls(tuple(params), shapes, next(iter(params.values())).dtype)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of weights of each parameter."""
        return tuple(prod(shape) for shape in self.shapes)

    @property
    def width(self) -> int:
        """D, the number of weights in all."""
        return sum(self.sizes)

    def unflatten(self, flat: Tensor) -> Params:
        """Views of (..., D) as {name: (..., *shape)}."""
        lead, out, start = flat.shape[:-1], {}, 0
        for name, shape, size in zip(self.names, self.shapes, self.sizes, strict=True):
            out[name] = flat[..., start : start + size].reshape(*lead, *shape)
            start += size
        return out

    def flatten(self, params: Params) -> Tensor:
        """{name: (..., *shape)} as one (..., D); other names are left out."""
        parts = []
        for name, shape in zip(self.names, self.shapes, strict=True):
            w = params[name]
            parts.append(w.reshape(*w.shape[: w.ndim - len(shape)], -1))
        return torch.cat(parts, -1)


def check_plain(name: str, tensor: Tensor, where: str = "") -> None:
    """Refuse what is no plain array of numbers, by the name of its kind.

    Raises:
        InputError: a sparse, quantised or nested tensor, one without numbers, a subclass of torch's.
    """
    kinds = {
        "quantised": tensor.is_quantized,
        "nested": tensor.is_nested,
        f"stored as {str(tensor.layout).removeprefix('torch.')}": tensor.layout != torch.strided,
        "on the meta device, without numbers": tensor.is_meta,
        f"a {type(tensor).__name__}": type(tensor) not in (Tensor, nn.Parameter, nn.Buffer),
    }
    kind = next((kind for kind, is_so in kinds.items() if is_so), None)
    if kind is not None:
        raise InputError(f"{where}tensor {shown(name)} is {kind}: save a plain tensor of its numbers")


def leaves(tree: Tree) -> list[Tensor]:
    """The tensors of a tree, in a fixed order."""
    return pytree.tree_leaves(tree)


def map_tensors(f: Callable[[Tensor], Tensor], tree: Tree) -> Tree:
    """Apply `f` to every tensor of a tree."""
    return pytree.tree_map(f, tree)


def structure_of(tree: Tree) -> str:
    """How a tree is built, in words."""
    return str(pytree.tree_structure(tree))


def rebuild(like: Tree, tensors: list[Tensor]) -> Tree:
    """Put tensors in the places of the leaves of `like`."""
    return pytree.tree_unflatten(tensors, pytree.tree_structure(like))


__all__ = ["Layout", "check_plain", "leaves", "map_tensors", "rebuild", "structure_of"]
