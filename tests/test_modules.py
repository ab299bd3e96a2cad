"""One law for every module: losses and gradients are those of ordinary autograd, or one line says why not."""

import copy
import pickle
import warnings

import cloudpickle
import pytest
import torch
from torch import Tensor, nn

import thalweg as tw
from modules import MODULES, SAMPLES, Case, Locked, net, squares, words
from thalweg.landscape import ModuleLosses, full_loss, measure, one_path
from thalweg.landscape import _passes as passes
from thalweg.samplers import Engine

REPLICAS, REACH = 16, 0.1  # chains, and how far from w* they stand
SHARED = ("lock", "scripted", "compiled function")  # what no pickle holds


def made(case: Case) -> nn.Module:
    """The same module each time."""
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        return case.make()


def data(case: Case):
    g = torch.Generator().manual_seed(1)
    return case.inputs(g), torch.randn(SAMPLES, generator=g).to(case.dtype)


def ordinary(case: Case, flat: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Losses (B,) and the gradient (D,) of their mean, by torch alone, of the module in eval mode at weights (D,)."""
    module, (inputs, targets) = made(case).eval(), data(case)
    moving = [w for w in module.parameters() if w.requires_grad]
    with torch.no_grad():
        for w, part in zip(moving, flat.split([w.numel() for w in moving]) if flat is not None else [], strict=False):
            w.copy_(part.reshape(w.shape))
    named = inputs if isinstance(inputs, dict) else {}
    losses = squares(module(*(() if named else inputs if isinstance(inputs, tuple) else (inputs,)), **named), targets)
    grads = torch.autograd.grad(losses.mean(), moving, materialize_grads=True)
    return losses.detach(), torch.cat([g.to_dense().reshape(-1) for g in grads])


def miss(found: Tensor, exact: Tensor) -> float:
    """The largest error, of the largest number."""
    return float((found - exact).abs().max() / exact.abs().max())


def state(module: nn.Module) -> tuple[list, list, dict]:
    """What a module is, so that a change shows."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
    parts = [
        (name, type(m), m.training, list(vars(m)), [len(getattr(m, h)) for h in hooks]) for name, m in named(module)
    ]
    tensors = [*module.named_parameters(), *module.named_buffers()]
    flags = [(name, id(w), w.requires_grad, w.is_leaf, w.grad, w._version) for name, w in tensors]
    return parts, flags, {name: w.detach().clone() for name, w in tensors}


def named(module: nn.Module) -> list[tuple[str, nn.Module]]:
    return list(module.named_modules())


def moves(case: Case, scape: tw.Landscape) -> tuple[Tensor, Tensor, Tensor]:
    """Weights (R, D) around w*, with losses (R,) and gradients (R, D) of the engine."""
    g = torch.Generator().manual_seed(2)
    flat = scape.layout.flatten(scape.params)
    flat = flat + REACH * torch.randn(REPLICAS, len(flat), generator=g).to(case.dtype)
    frozen = {k: torch.stack([w] * REPLICAS) for k, w in scape.frozen.items()}
    with torch.no_grad():
        return flat, *reversed(Engine(scape, compiled=False).gradient(frozen, None)(flat))


def check(case: Case, scape: tw.Landscape) -> None:
    """The law: one replica and sixteen, with gradients and without."""
    center, (losses, gradient) = measure(scape), ordinary(case)
    quiet = full_loss(scape, scape.data)
    assert miss(center.losses, losses) < case.near
    assert miss(center.gradient, gradient) < case.near
    assert abs(quiet - center.loss) < 10 * torch.finfo(case.dtype).eps * abs(center.loss)
    for weights, loss, grad in zip(*moves(case, scape), strict=True):
        losses, gradient = ordinary(case, weights)
        assert miss(loss, losses.mean()) < case.near
        assert miss(grad, gradient) < case.near


@pytest.mark.parametrize("name", [name for name, case in MODULES.items() if case.refused is None])
def test_a_module_has_the_losses_and_gradients_of_ordinary_autograd(name):
    case = MODULES[name]
    module, stream = made(case), torch.get_rng_state()
    before = state(module)
    scape = tw.landscape(module, data(case), squares)
    check(case, scape)
    after = state(module)
    assert before[:2] == after[:2]
    assert all(torch.equal(w, after[2][k]) for k, w in before[2].items())
    assert torch.equal(stream, torch.get_rng_state())
    losses = measure(scape).losses
    assert torch.equal(measure(copy.deepcopy(scape)).losses, losses)
    if not any(word in name for word in SHARED):
        assert torch.equal(measure(cloudpickle.loads(cloudpickle.dumps(scape))).losses, losses)


@pytest.mark.parametrize("name", [name for name, case in MODULES.items() if case.refused is not None])
def test_a_module_that_is_refused_is_refused_for_its_reason(name):
    case = MODULES[name]
    with pytest.raises(tw.InputError, match=case.refused) as raised:
        tw.landscape(made(case), data(case), squares)
    assert "do the data fit the module" not in str(raised.value)  # a reason of its own


def test_how_many_are_right_and_how_many_refused():
    refused = [name for name, case in MODULES.items() if case.refused is not None]
    assert (len(MODULES) - len(refused), len(refused)) == (84, 27)


def test_the_law_can_fail(monkeypatch):
    case = MODULES["LayerNorm, RMSNorm"]
    scape = tw.landscape(made(case), data(case), squares)
    path = ModuleLosses.__call__

    def other(self, params, frozen, inputs, targets):
        return path(self, params, frozen, inputs, targets) * (1.0 if torch.is_grad_enabled() else 1.01)

    monkeypatch.setattr(ModuleLosses, "__call__", other)
    with pytest.raises(AssertionError):
        check(case, scape)


def test_without_the_one_path_a_padded_transformer_has_two_losses(monkeypatch):
    case = MODULES["TransformerEncoder, padded"]
    monkeypatch.setattr(passes, "FLAGS", ())
    with pytest.raises(tw.InputError, match="with gradients"):
        tw.landscape(made(case), data(case), squares)


def test_a_survey_has_one_loss_for_the_same_data(tmp_path):
    module, inputs = made(MODULES["TransformerEncoder, padded"]), words(4)(torch.Generator().manual_seed(1))
    samples = inputs, torch.randn(SAMPLES)
    (tmp_path / "run").mkdir()
    torch.save(module.state_dict(), tmp_path / "run" / "step-1.pt")
    survey = tw.survey(
        tw.landscape(module, samples, squares, name="encoder"),
        tmp_path / "run",
        out=tmp_path / "out.zarr",
        test_data=samples,
        sampler="sgld",
        draws=8,
        burn_in=1,
        chains=1,
        workers=1,
        progress=False,
    )
    assert float(survey.column("test_loss")[0]) == pytest.approx(float(survey.column("train_loss")[0]), rel=1e-6)


def test_switches_are_as_they_were_after_an_exception():
    before = [read() for read, _, _ in passes.FLAGS]

    def measured() -> None:
        with one_path("cpu"):
            assert not torch.backends.mha.get_fastpath_enabled()
            raise KeyError

    with pytest.raises(KeyError):
        measured()
    assert [read() for read, _, _ in passes.FLAGS] == before
    assert before[0]


def test_what_is_around_us_changes_no_number():
    case = MODULES["Linear"]
    scape = tw.landscape(made(case), data(case), squares)
    with torch.autocast("cpu", torch.bfloat16):
        within = tw.landscape(made(case), data(case), squares)
        assert torch.equal(measure(within).losses, measure(scape).losses)
    with torch.inference_mode():
        for call in (lambda: tw.landscape(made(case), data(case), squares), lambda: measure(scape)):
            with pytest.raises(tw.InputError, match="outside of it"):
                call()
    with torch.no_grad():
        assert torch.equal(measure(tw.landscape(made(case), data(case), squares)).gradient, measure(scape).gradient)


def test_a_wrapped_module_has_the_names_of_the_module_inside():
    case = MODULES["DataParallel"]
    module = made(case)
    scape = tw.landscape(module, data(case), squares)
    assert list(scape.params) == [name for name, _ in net().named_parameters()]
    for state in (module.state_dict(), module.module.state_dict()):
        assert measure(scape.at(state)).loss == measure(scape).loss


def test_what_belongs_to_one_process_is_not_sent_to_others():
    case = MODULES["Linear"]
    scape = tw.landscape(Locked(), data(case), squares)
    with pytest.raises(tw.InputError, match=r"lock \(thing\['lock'\]\)"):
        pickle.dumps(scape.losses)
