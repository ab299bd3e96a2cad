"""Cut the graph of a gradient in two: a body that no moving weight reaches, and a head that takes what it gives.

The graph is that of one replica, with its backward pass, so that hooks, detached parts and gradients of a module's
own stay what they are. The body is what hangs on data and on no moving weight. What crosses is to be kept, a row a
sample: of views, what they are views of, where that is no larger.                                     B samples
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from functorch import make_fx
from torch import Tensor
from torch.func import functionalize
from torch.fx import Graph, GraphModule, Node
from torch.fx.node import map_arg
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten
PRODUCTS = {*flop_registry, aten.mv, aten.addmv, aten.mkldnn_rnn_layer}  # of which a body has one, to be worth it
SOFTMAX = (aten._log_softmax.default, aten._log_softmax_backward_data.default)
FEW = 16  # classes, below which torch's kernel along the last axis works number by number: ten times as long
BY_NUMBERS = {torch.Tag.dynamic_output_shape, torch.Tag.data_dependent_output}


@dataclass(frozen=True, eq=False)
class Cut:
    """A graph in two.

    Attributes:
        body: still tensors, then data -> the values that cross.
        head: moving tensors, still ones, data, then those values -> what the graph gives.
        rows: shape and type of each value for one sample.
        used: numbers of the head's arguments that it uses.
        kernels: of the graph, in order, and which of them cross: the same for every B, or the cut is no use.
    """

    body: GraphModule
    head: GraphModule
    rows: tuple[tuple[tuple[int, ...], torch.dtype], ...]
    used: frozenset[int]
    kernels: tuple[tuple[str, bool], ...]


def cut(
    function: Callable[..., tuple[Tensor, ...]], moving: list[Tensor], still: list[Tensor], data: list[Tensor]
) -> Cut | None:
    """Trace a pure function of tensors and cut it.

    Args:
        function: of all these, one after the other.
        moving: arguments that change from call to call.
        still: arguments that seldom do.
        data: arguments of B samples each, which change.

    Returns:
        The `Cut`; None where no product is spared, or where the function looks at numbers.
    """
    example = [t.detach().clone() for t in (*moving, *still, *data)]  # tracing takes two names of one tensor for one
    try:
        module = make_fx(functionalize(function))(*example)
    except Exception:  # whatever the module raises that finds no numbers
        return None
    module.graph.eliminate_dead_code()
    kernels = [node.target for node in module.graph.nodes if isinstance(node.target, torch._ops.OpOverload)]
    if any(kernel._schema.is_mutable or BY_NUMBERS & set(kernel.tags) for kernel in kernels):
        return None
    inputs = [node for node in module.graph.nodes if node.op == "placeholder"]
    moved = _reached(module.graph, inputs[: len(moving)], random=True)
    fixed = _reached(module.graph, inputs[len(moving) + len(still) :]) - moved - set(inputs)
    return _halves(module, inputs, len(moving), fixed, len(data[0]))


def _reached(graph: Graph, sources: Iterable[Node], random: bool = False) -> set[Node]:
    """Nodes that hang on some others; on request also on what is drawn at random."""
    found = set(sources)
    for node in graph.nodes:
        drawn = random and torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
        if drawn or any(source in found for source in node.all_input_nodes):
            found.add(node)
    return found


def _halves(module: GraphModule, inputs: list[Node], moving: int, fixed: set[Node], size: int) -> Cut | None:
    """Walk back from what the graph gives to the values that can be kept."""
    nodes = list(module.graph.nodes)
    kept, crossing, waiting = set(), set(), [nodes[-1]]
    while waiting:
        node = waiting.pop()
        chain = _views(node, fixed) if node in fixed else []
        value = _kept(chain, size)
        if value is not None:
            crossing.add(value)
            kept.update(chain[: chain.index(value)])
        elif node not in kept:
            kept.add(node)
            waiting += node.all_input_nodes
    kept -= crossing
    order = [node for node in nodes if node in crossing]
    before = _ancestors(order)
    if not any(getattr(node.target, "overloadpacket", None) in PRODUCTS for node in before):
        return None
    return Cut(
        body=_part(module, inputs[moving:], [], before, tuple(order)),
        head=_part(module, inputs, order, kept, nodes[-1].args[0]),
        rows=tuple((_row(node.meta["val"].shape, size), node.meta["val"].dtype) for node in order),
        used=frozenset(k for k, node in enumerate(inputs) if node in kept),
        kernels=tuple((str(node.target), node in crossing) for node in nodes if node.op == "call_function"),
    )


def _views(node: Node, fixed: set[Node]) -> list[Node]:
    """A node, and what it is a view of, one after the other; nothing where that is an argument."""
    chain = [node]
    while getattr(chain[-1].target, "is_view", False) or chain[-1].target is aten._unsafe_view.default:
        source: Any = chain[-1].args[0]
        if source not in fixed:
            return []
        chain.append(source)
    return chain


def _kept(chain: list[Node], size: int) -> Node | None:
    """The smallest of some views of the same, the last of them, that has an axis of samples at first."""
    values = [(node, node.meta.get("val")) for node in chain]
    firsts = [(node, v) for node, v in values if isinstance(v, Tensor) and v.ndim and len(v) and len(v) % size == 0]
    plain = [(node, v) for node, v in firsts if len(v) == size] or firsts
    least = min((v.numel() for _, v in plain), default=0)
    return next((node for node, v in reversed(plain) if v.numel() == least), None)


def _row(shape: torch.Size, size: int) -> tuple[int, ...]:
    """The shape of one sample's part: axes of tokens may be one with that of samples."""
    return tuple(shape[1:]) if shape[0] == size else (shape[0] // size, *shape[1:])


def _ancestors(nodes: list[Node]) -> set[Node]:
    """Nodes, and all that they hang on."""
    found, waiting = set(), list(nodes)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += node.all_input_nodes
    return found


def _part(
    module: GraphModule, inputs: list[Node], crossing: list[Node], nodes: set[Node], output: Any
) -> GraphModule:
    """A graph of some of the nodes, whose arguments are the inputs and the values that cross."""
    graph, own = Graph(), {}
    for node in [*inputs, *crossing]:
        own[node] = graph.placeholder(f"given_{len(own)}")
    for node in crossing:
        own[node] = graph.call_function(aten.reshape.default, (own[node], list(node.meta["val"].shape)))
    for node in module.graph.nodes:
        if node in nodes and node not in own and node.op != "output":
            own[node] = graph.node_copy(node, lambda n: own[n])
    graph.output(map_arg(output, lambda n: own[n]))
    for node in list(graph.nodes):
        if node.target in SOFTMAX and node.meta["val"].ndim == 2 and node.meta["val"].shape[1] < FEW:
            _turn(graph, node)
    return GraphModule(module, graph)


def _turn(graph: Graph, node: Node) -> None:
    """A softmax of (B, C) over its last axis as one of (C, B) over its first."""
    kernel: Any = node.target
    count = SOFTMAX.index(kernel) + 1  # tensors before the axis: scores, or gradient and outputs
    tensors, (axis, *rest) = node.args[:count], node.args[count:]
    if axis not in (1, -1):
        return
    with graph.inserting_before(node):
        found = graph.call_function(kernel, (*(_columns(graph, t) for t in tensors), 0, *rest))
        back = graph.call_function(aten.t.default, (found,))
    node.replace_all_uses_with(back)
    graph.erase_node(node)


def _columns(graph: Graph, rows: Any) -> Node:
    """(C, B) of (B, C), whole in memory; what a softmax has given turned, as it was."""
    if rows.target is aten.t.default and rows.args[0].target in SOFTMAX:
        return rows.args[0]
    turned = graph.call_function(aten.t.default, (rows,))
    return graph.call_function(aten.clone.default, (turned,), {"memory_format": torch.contiguous_format})
