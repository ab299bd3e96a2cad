"""One law for every module: losses and gradients are those of ordinary autograd, or one line says why there are none."""

import copy
import warnings

import cloudpickle
import pytest
import torch
from torch import Tensor, nn

import thalweg as tw
from modules import MODULES, Case, squares
from thalweg.landscape import measure
from thalweg.samplers import Engine

REPLICAS, REACH = 16, 0.1
warnings.simplefilter("ignore")


def made(case: Case) -> nn.Module:
    """The same module each time it is called."""
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        return case.make()


def data(case: Case):
    g = torch.Generator().manual_seed(1)
    inputs = case.inputs(g)
    dtype = torch.float64 if case.double else torch.float32
    return inputs, torch.randn(5, generator=g, dtype=dtype)


def ordinary(module: nn.Module, flat: Tensor, inputs, targets) -> tuple[Tensor, Tensor]:
    """Losses (B,) and the gradient (D,) of their mean, by torch alone, of a module that is written to."""
    moving = [w for w in module.parameters() if w.requires_grad]
    with torch.no_grad():
        for w, part in zip(moving, flat.split([w.numel() for w in moving]), strict=True):
            w.copy_(part.reshape(w.shape))
    args, kwargs = (
        ((), inputs) if isinstance(inputs, dict) else (inputs if isinstance(inputs, tuple) else (inputs,), {})
    )
    losses = squares(module(*args, **kwargs), targets)
    grads = torch.autograd.grad(losses.mean(), moving, materialize_grads=True)
    return losses.detach(), torch.cat([g.to_dense().reshape(-1) for g in grads])


def known(module: nn.Module):
    """All that a module is, so that a change shows."""
    parts = [
        (
            k,
            type(m),
            m.training,
            sorted(m.__dict__),
            len(m._forward_hooks),
            len(m._forward_pre_hooks),
            len(m._backward_hooks),
        )
        for k, m in module.named_modules()
    ]
    tensors = [(k, id(w), w.requires_grad, w.is_leaf, w.grad) for k, w in module.named_parameters()]
    return (
        parts,
        tensors,
        {k: (id(w), w._version) for k, w in module.named_buffers()},
        {k: w.clone() for k, w in module.state_dict().items() if isinstance(w, Tensor)},
    )


def same(a, b):
    return (
        a[:3] == b[:3]
        and a[3].keys() == b[3].keys()
        and all(torch.equal(w.cpu(), b[3][k].cpu()) for k, w in a[3].items() if not w.is_meta)
    )


def law(name):
    case = MODULES[name]
    module, inputs = made(case), data(case)
    before = known(module) if "Lazy" not in name else None
    stream = torch.get_rng_state()
    scape = tw.landscape(module, inputs, squares)
    center = measure(scape)
    frozen = {k: torch.stack([w] * REPLICAS) for k, w in scape.frozen.items()}
    engine = Engine(scape, compiled=False)
    g = torch.Generator().manual_seed(2)
    flat = center.params + REACH * torch.randn(REPLICAS, len(center.params), generator=g, dtype=center.params.dtype)
    with torch.no_grad():
        grads, losses = engine.gradient(frozen, None)(flat)
        one = engine.gradient({k: w[:1] for k, w in frozen.items()}, None)(flat[:1])
        quiet = scape.losses(scape.params, scape.frozen, *scape.data.take(slice(None)))
    twin = lambda: made(case).eval()
    tol = dict(rtol=1e-4, atol=1e-5) if "autocast" not in name else dict(rtol=1e-2, atol=1e-2)
    l0, g0 = ordinary(twin(), center.params, *inputs)
    assert torch.allclose(center.losses, l0, **tol), ("center loss", center.losses, l0)
    assert torch.allclose(quiet, l0, **tol), ("quiet", quiet, l0)
    assert torch.allclose(center.gradient, g0, **tol), ("center grad",)
    for r in range(REPLICAS):
        l0, g0 = ordinary(twin(), flat[r], *inputs)
        assert torch.allclose(losses[r], l0.mean(), **tol), ("loss", r)
        assert torch.allclose(grads[r], g0, **tol), ("grad", r)
    assert torch.allclose(one[0][0], grads[0], **tol)
    assert same(before, known(module)), "module changed"
    assert torch.equal(stream, torch.get_rng_state()), "stream"
    for other in (copy.deepcopy(scape), cloudpickle.loads(cloudpickle.dumps(scape)) if "lock" not in name else scape):
        assert torch.equal(measure(other).losses, center.losses), "copy"
    return scape.engine, scape.engine_reason


if __name__ == "__main__":
    import sys, time, traceback

    names = [n for n in MODULES if not sys.argv[1:] or any(a in n for a in sys.argv[1:])]
    for n in names:
        t = time.time()
        try:
            r = law(n)
            print("ok  " if MODULES[n].refused is None else "OK?!", n, r, f"{time.time() - t:.2f}")
        except tw.InputError as e:
            good = MODULES[n].refused and __import__("re").search(MODULES[n].refused, str(e))
            print("ref " if good else "REF!", n, "::", e)
        except Exception as e:
            print("FAIL", n, type(e).__name__, str(e)[:300].replace("\n", " "))
            if len(sys.argv) > 1:
                traceback.print_exc()
