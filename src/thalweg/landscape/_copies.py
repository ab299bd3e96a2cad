"""A module's copy that nobody else holds: what torch cannot copy is copied otherwise, or refused for its reason."""

import threading
from copy import deepcopy
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.nn.utils import parametrize

from thalweg.errors import InputError, first_line, guarded, shown
from thalweg.landscape._held import things

WRAPPERS = {"DataParallel": "module", "DistributedDataParallel": "module", "OptimizedModule": "_orig_mod"}
SHARDED = ("FullyShardedDataParallel", "FSDPModule")
LOCKS = (type(threading.Lock()), type(threading.RLock()), threading.local)


class _Unwrapped(nn.Module):
    """In the place of a wrapper that spreads or compiles a module: the module alone, under the name that it had."""

    def __init__(self, name: str, inner: nn.Module) -> None:
        super().__init__()
        self._wrapped = name
        self.add_module(name, inner)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module gives."""
        return self.get_submodule(self._wrapped)(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            inner = vars(self).get("_modules", {}).get(vars(self).get("_wrapped"))
            if inner is None:
                raise
            return getattr(inner, name)


def copied(module: nn.Module) -> nn.Module:
    """A copy in eval mode, which can be copied and pickled in its turn; the module stays as it is.

    What spreads a module over devices or compiles it is left out: around the whole together with its prefix of
    names, inside under its name. Layers with sparse gradients get dense ones, which are the same numbers.

    Raises:
        InputError: a module without numbers, without gradients, or that holds what cannot be copied.
    """
    if not hasattr(module, "_modules"):
        raise InputError(
            f"{type(module).__name__} is not set up: call super().__init__() at the beginning of its __init__"
        )
    module = inside(module)[0]
    _check(module)
    copy = _copy(module)
    for part in copy.modules():
        if isinstance(part, nn.Embedding | nn.EmbeddingBag):
            part.sparse = False
        if parametrize.is_parametrized(part):
            base = type(part).__bases__[0]
            part.__class__ = _parametrised(base, tuple(dict(part.get_submodule("parametrizations").named_children())))
    with guarded("eval() of the module", "give a module that can be put in eval mode"):
        copy.eval()
    _check_weights(module, copy)
    return copy


def inside(module: nn.Module) -> tuple[nn.Module, str]:
    """The module in its wrappers, and the prefix of names that they give."""
    prefix = ""
    while (name := _wraps(module)) is not None:
        module, prefix = getattr(module, name), f"{prefix}{name}."
    return module, prefix


def stand_ins(module: nn.Module) -> dict[int, Any]:
    """What a deep copy takes instead of what cannot be copied: a memo for `deepcopy`.

    Tensors with a graph are cut off from it, and still ask for gradients, so that it shows who uses them. Locks,
    imported modules and scripted functions are shared.
    """
    memo: dict[int, Any] = {}
    for _, thing in things(module):
        if isinstance(thing, Tensor) and not thing.is_leaf:
            memo[id(thing)] = thing.detach().clone().requires_grad_()
        elif isinstance(thing, (*LOCKS, ModuleType, torch.jit.ScriptFunction)):
            memo[id(thing)] = thing
    return memo


def _copy(module: nn.Module) -> nn.Module:
    """A deep copy, wrappers inside it replaced by what they wrap."""
    memo = stand_ins(module)
    try:
        for wrapper in reversed(list(module.modules())):
            name = _wraps(wrapper)
            if name is not None:
                memo[id(wrapper)] = _Unwrapped(name, deepcopy(getattr(wrapper, name), memo))
        return deepcopy(module, memo)
    except Exception as error:
        path, thing = _culprit(module, memo)
        raise InputError(
            f"module cannot be copied, {shown(path) or 'it'} is a {type(thing).__name__} ({first_line(error)}): take"
            " it out of the module, or give its class a method __deepcopy__"
        ) from error


def _culprit(module: nn.Module, memo: dict[int, Any]) -> tuple[str, Any]:
    """The innermost object that cannot be copied, and its place."""
    found: tuple[str, Any] = ("", module)
    for path, thing in things(module):
        inner = path.startswith(found[0])
        if inner and not isinstance(thing, Tensor):
            try:
                deepcopy(thing, dict(memo))
            except Exception:  # whatever the object's class raises
                found = (path, thing)
    return found


def _wraps(module: nn.Module) -> str | None:
    """The name under which a wrapper of torch's holds its module; None if it is none."""
    kinds = (kind.__name__ for kind in type(module).__mro__ if kind.__module__.startswith("torch."))
    name = next((WRAPPERS[kind] for kind in kinds if kind in WRAPPERS), None)
    if name is not None and (module._forward_hooks or module._forward_pre_hooks):
        raise InputError(f"a {type(module).__name__} has hooks of its own: put them on the module inside it")
    return name


def _check(module: nn.Module) -> None:
    """Refuse what has no numbers or no gradients, by name."""
    if not any("forward" in vars(kind) for kind in type(module).__mro__ if kind is not nn.Module):
        raise InputError(f"{type(module).__name__} has no forward pass: give it a method forward")
    for name, part in module.named_modules():
        where = f"{shown(name)} is" if name else "module is"
        kinds = [kind.__name__ for kind in type(part).__mro__]
        if isinstance(part, torch.jit.ScriptModule):
            raise InputError(
                f"{where} a ScriptModule, whose weights are its own: give the Python module it is made of"
            )
        if any(kind in SHARDED for kind in kinds):
            raise InputError(f"{where} sharded: load its whole state dict into a module that is not, and give that")
        if ".quantized" in type(part).__module__ and "torch" in type(part).__module__:
            raise InputError(f"{where} quantised and has no gradient: give the module as it was before")
    tensors = [*module.named_parameters(), *module.named_buffers()]
    for name, w in tensors:
        _check_tensor(shown(name), w, moves=w.requires_grad)
    moving = {_place(w): name for name, w in tensors if w.requires_grad and w.numel()}
    for name, w in tensors:
        first = moving.get(_place(w), name)
        if first != name and w.numel():
            raise InputError(
                f"{shown(first)} and {shown(name)} share their memory and are two tensors: make them one (a.weight ="
                " b.weight), or clone one"
            )


def _place(w: Tensor) -> tuple[int, int]:
    """Where its numbers begin."""
    return w.untyped_storage().data_ptr(), int(w.storage_offset())


def _check_weights(module: nn.Module, copy: nn.Module) -> None:
    """Refuse a module whose eval() has changed weights: checkpoints saved in train mode would be read as others."""
    given, found = dict(module.named_parameters()), dict(copy.named_parameters())
    for name in given | found:
        if name not in given or name not in found or not _equal(given[name], found[name]):
            raise InputError(
                f"eval() of the module changes {shown(name)}, as where weights are merged: give it in eval mode, and"
                " checkpoints that were saved in eval mode"
            )


def _equal(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors hold the same numbers, NaN being one."""
    with torch.no_grad():
        return a.shape == b.shape and torch.equal(a.nan_to_num(), b.nan_to_num())


def _check_tensor(name: str, w: Tensor, *, moves: bool) -> None:
    """Refuse one tensor that is no array of numbers, or could not move."""
    if is_lazy(w):
        raise InputError(f"{name} has no shape yet: run the module once on a few samples, then give it")
    if w.is_meta:
        raise InputError(f"{name} is on the meta device, without numbers: load the weights before")
    if w.layout != torch.strided or w.is_quantized or type(w.detach()) is not Tensor:
        layout = str(w.dtype if w.is_quantized else w.layout).removeprefix("torch.")
        kind = type(w.detach()).__name__ if layout == "strided" else f"tensor of {layout}"
        raise InputError(f"{name} is a {kind}: make it a plain tensor of its numbers (to_dense, dequantize)")
    if w.is_complex() and moves:
        raise InputError(
            f"{name} is complex: make its real and imaginary parts one real parameter, and view it as complex in the"
            " forward pass (torch.view_as_complex)"
        )
    if moves and any(step == 0 and size > 1 for step, size in zip(w.stride(), w.shape, strict=True)):
        raise InputError(f"{name} is expanded, several of its numbers share one place in memory: clone it")
    if not w.is_leaf:
        raise InputError(f"buffer {name} keeps the graph it was computed by: assign it detached")


def _parametrised(base: type, names: tuple[str, ...]) -> type:
    """A class like the one that torch makes of a parametrised module's, whose objects can be pickled."""

    def computed(name: str) -> property:
        return property(lambda self: self.parametrizations[name]())

    def reduce(self: Any, protocol: Any) -> tuple[Any, ...]:
        return _unmade, (base, names), self.__getstate__()

    own = {"__module__": parametrize.__name__, "__reduce_ex__": reduce}
    return type(f"Parametrized{base.__name__}", (base,), own | {name: computed(name) for name in names})


def _unmade(base: type, names: tuple[str, ...]) -> Any:
    """An object of that class, without its attributes."""
    return object.__new__(_parametrised(base, names))
