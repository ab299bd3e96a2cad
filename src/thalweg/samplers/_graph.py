"""Trace a step once, and drop from its graph what changes no number.

A step of a small model is a hundred tiny kernels; calling them through vmap and autograd every
time costs more than they do. The traced graph calls the same kernels directly, so its bits are the
same; dropping views that view the whole and repeated look-ups saves another eighth.
"""

from collections.abc import Callable

import torch
from functorch import make_fx
from torch import Tensor
from torch.fx import GraphModule, Node

aten = torch.ops.aten

VIEWS = {aten.view.default, aten._unsafe_view.default, aten.expand.default, aten.permute.default}
REPEATED = VIEWS | {
    aten.add.Tensor,
    aten.arange.start_step,
    aten.clone.default,
    aten.ne.Scalar,
    aten.scalar_tensor.default,
    aten.select.int,
    aten.slice.Tensor,
    aten.transpose.int,
    aten.unsqueeze.default,
    aten.where.self,
}


def trace(step: Callable[..., tuple[Tensor, Tensor]], example: list[Tensor]) -> GraphModule:
    """The kernels that `step` calls on tensors of these shapes.

    Args:
        step: a pure function of tensors; its shapes and Python branches are fixed by the example.
        example: arguments; copied, since tracing takes two names of one tensor for one input.
    """
    graph = make_fx(step)(*(t.clone() for t in example))
    kernels = [node.target for node in graph.graph.nodes if isinstance(node.target, torch._ops.OpOverload)]
    if any(kernel._schema.is_mutable for kernel in kernels):  # what is written to later must not be shared
        return graph
    _drop_idle(graph)
    _drop_repeated(graph)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph


def _drop_idle(module: GraphModule) -> None:
    """Remove views of the same shape and strides, and a transposition of a transposition."""
    for node in list(module.graph.nodes):
        source = _idle_source(node)
        if source is not None:
            node.replace_all_uses_with(source)
            module.graph.erase_node(node)


def _idle_source(node: Node) -> Node | None:
    """What a node passes on unchanged, if it does."""
    source = node.args[0] if node.args and isinstance(node.args[0], Node) else None
    if source is None:
        return None
    if node.target in VIEWS:
        before, after = source.meta.get("val"), node.meta.get("val")
        if before is None or after is None:
            return None
        return source if before.shape == after.shape and before.stride() == after.stride() else None
    if node.target is aten.transpose.int and source.target is aten.transpose.int and node.args[1:] == source.args[1:]:
        first = source.args[0]
        return first if isinstance(first, Node) else None
    return None


def _drop_repeated(module: GraphModule) -> None:
    """Compute once what is computed twice from the same arguments."""
    known: dict[tuple, Node] = {}
    for node in list(module.graph.nodes):
        if node.target not in REPEATED:
            continue
        first = known.setdefault((node.target, str(node.args), str(node.kwargs)), node)
        if first is not node:
            node.replace_all_uses_with(first)
            module.graph.erase_node(node)
