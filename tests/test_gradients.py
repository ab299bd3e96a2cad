"""A gradient that is not the loss's is found and named in 24 forward passes; ordinary modules are let alone."""

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import thalweg as tw
from thalweg.errors import InputError
from thalweg.landscape import checked_gradients


class Of(nn.Module):
    """A forward pass of some modules, which counts its passes."""

    passes = 0

    def __init__(self, run, **parts):
        super().__init__()
        self.run = run
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        Of.passes += 1
        return self.run(self, x)


class Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.sign()

    @staticmethod
    def backward(ctx, grad):
        return grad


class Sine(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, scale):
        ctx.save_for_backward(x)
        ctx.scale = scale
        return x.sin()

    @staticmethod
    def backward(ctx, grad):
        return ctx.scale * grad * ctx.saved_tensors[0].cos(), None


def of(run):
    return lambda: Of(run, a=nn.Linear(4, 8), b=nn.Linear(8, 1))


def tokens(**choices):
    embedding = choices.pop("kind", nn.Embedding)

    def run(self, x):
        found = self.e(x)
        return self.b((found if found.ndim == 2 else found.sum(1)).tanh())

    return lambda: Of(run, e=embedding(6, 3, **choices), b=nn.Linear(3, 1))


def without_grad(self, x):
    with torch.no_grad():
        inner = self.a(x)
    return self.b(inner.tanh())


def rows_detached(self, x):
    weight = torch.cat([self.a.weight[:3].detach(), self.a.weight[3:]])
    return self.b(F.linear(x, weight, self.a.bias).tanh())


def hooked(change):
    def run(self, x):
        inner = self.a(x)
        if inner.requires_grad:
            inner.register_hook(change)
        return self.b(inner.tanh())

    return run


def hooked_row(self, x):
    weight = self.a.weight * 1
    if weight.requires_grad:
        weight.register_hook(lambda g: torch.cat([g[:7], 0.5 * g[7:]]))
    return self.b(F.linear(x, weight, self.a.bias).tanh())


def with_backward_hook():
    module = Of(lambda self, x: self.b(self.t(self.a(x))), a=nn.Linear(4, 8), t=nn.Tanh(), b=nn.Linear(8, 1))
    module.t.register_full_backward_hook(lambda module, into, out: (0.3 * into[0],))
    return module


def rounded(self, x):
    inner = 4 * self.a(x)
    return self.b(inner + (inner.round() - inner).detach())


def routed(self, x):
    chosen = self.r(x).argmax(1)
    return sum((chosen == k).to(x)[:, None] * expert(x) for k, expert in enumerate(self.experts))


def in_float32(run):
    def narrow(self, x):
        assert x.dtype == torch.float32
        return run(self, x)

    return narrow


ROUTER = {"r": nn.Linear(4, 3), "experts": nn.ModuleList(nn.Linear(4, 1) for _ in range(3))}
HELD = {
    "padding row": (tokens(padding_idx=2), ("e.weight, row 2",)),
    "detach": (of(lambda self, x: self.b(self.a(x).detach().tanh())), ("a.weight", "a.bias")),
    "no_grad": (of(without_grad), ("a.weight", "a.bias")),
    "rows": (of(rows_detached), ("a.weight, rows 0 to 2",)),
    "hook to zero": (of(hooked(lambda g: 0 * g)), ("a.weight", "a.bias")),
    "sign": (of(lambda self, x: self.b(self.a(x).sign())), ("a.weight", "a.bias")),
    "argmax": (lambda: Of(routed, **ROUTER), ("r.weight", "r.bias")),
    "float32": (of(in_float32(without_grad)), ("a.weight", "a.bias")),
}
WRONG = {
    "half detached": (of(lambda self, x: self.b((self.a(x) + self.a(x).detach()).tanh())), "a.weight, a.bias"),
    "straight through": (of(lambda self, x: self.b(Sign.apply(self.a(x)))), "a.weight, a.bias"),
    "rounded": (of(rounded), "a.weight, a.bias"),
    "hook": (of(hooked(lambda g: 0.5 * g)), "a.weight, a.bias"),
    "hook of a row": (of(hooked_row), "a.weight"),
    "clipped": (of(hooked(lambda g: g.clamp(-1e-4, 1e-4))), "a.weight, a.bias"),
    "backward hook": (with_backward_hook, "a.weight, a.bias"),
    "backward pass": (of(lambda self, x: self.b(Sine.apply(self.a(x), 2.0))), "a.weight, a.bias"),
    "a hundredth": (of(lambda self, x: self.b(Sine.apply(self.a(x), 1.01))), "a.weight, a.bias"),
    "frequency": (tokens(scale_grad_by_freq=True), "e.weight"),
    "float32": (of(in_float32(lambda self, x: self.b(Sign.apply(self.a(x))))), "a."),
}
RIGHT = {
    "its own backward pass": of(lambda self, x: self.b(Sine.apply(self.a(x), 1.0))),
    "padding of a bag": tokens(kind=nn.EmbeddingBag, padding_idx=0),
    "sparse": tokens(sparse=True),
    "unused": lambda: Of(lambda self, x: self.a(x), a=nn.Linear(4, 1), b=nn.Linear(4, 1)),
    "dead units": of(lambda self, x: self.b((self.a(x) - torch.arange(8) * 20.0).relu())),
    "saturated": of(lambda self, x: self.b(F.hardtanh(100 * self.a(x)))),
}


def net(activation, width=8, depth=2):
    inner = [part for _ in range(depth - 1) for part in (nn.Linear(width, width), activation())]
    return lambda: nn.Sequential(nn.Linear(4, width), activation(), *inner, nn.Linear(width, 1))


def recurrent(kind):
    return lambda: Of(
        lambda self, x: self.o(self.g(x[:, :, None])[0][:, -1]), g=kind(1, 6, batch_first=True), o=nn.Linear(6, 1)
    )


def convolved():
    parts = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()
    return nn.Sequential(nn.Unflatten(1, (1, 2, 2)), *parts, nn.Linear(4, 1))


def transformer():
    def run(self, x):
        return self.o(self.t(self.e(x)).mean(1))

    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    return Of(run, e=nn.Embedding(6, 8), t=nn.TransformerEncoder(layer, 2), o=nn.Linear(8, 1))


def experts():
    def run(self, x):
        share, which = self.r(x).softmax(-1).max(-1)
        return share[:, None] * torch.stack([expert(x) for expert in self.experts], 1)[torch.arange(len(x)), which]

    return Of(run, r=nn.Linear(4, 3), experts=nn.ModuleList(nn.Linear(4, 1) for _ in range(3)))


ORDINARY = {
    "ReLU": net(nn.ReLU),
    "deep and narrow ReLU": net(nn.ReLU, 2, 5),
    "Hardtanh": net(nn.Hardtanh, 4, 3),
    "ELU": net(nn.ELU),
    "GELU": net(nn.GELU),
    "PReLU": net(nn.PReLU),
    "LayerNorm": lambda: nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 1)),
    "max pool": convolved,
    "transformer": transformer,
    "GRU": recurrent(nn.GRU),
    "experts": experts,
}


@pytest.mark.parametrize("kind", ORDINARY)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_ordinary_modules_pass(kind, dtype):
    for seed, (trained, scale, loss) in enumerate([(0, 1.0, "mse"), (30, 1.0, "l1"), (30, 30.0, "mse")]):
        torch.manual_seed(seed)
        module = ORDINARY[kind]().to(dtype)
        x, y = data(module)
        x, y = (x if hasattr(module, "e") else scale * x.to(dtype)), y.to(dtype)
        descent = torch.optim.Adam(module.parameters(), 3e-2)
        for _ in range(trained):
            descent.zero_grad()
            F.mse_loss(module(x), y).backward()
            descent.step()
        scape = tw.landscape(module, (x, y), loss, name="ordinary")
        assert checked_gradients(scape) is scape


def data(module, n=100):
    own = torch.Generator().manual_seed(1)
    x = torch.randint(6, (n, 5), generator=own) if hasattr(module, "e") else torch.randn(n, 4, generator=own)
    return x, torch.randn(n, 1, generator=own)


def made(make, seed=0):
    torch.manual_seed(seed)
    module = make()
    return tw.landscape(module, data(module), "mse", name="made")


@pytest.mark.parametrize("kind", HELD)
@pytest.mark.parametrize("seed", [0, 1])
def test_what_has_no_gradient_is_held_and_named(kind, seed):
    make, names = HELD[kind]
    scape = made(make, seed)
    Of.passes = 0
    found = checked_gradients(scape)
    assert found.restriction.held == names
    assert 0 < Of.passes <= 24
    again = checked_gradients(found)
    assert again is found  # what is held is asked no more


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("seed", [0, 1])
def test_another_gradient_is_refused_and_named(kind, seed):
    make, names = WRONG[kind]
    scape = made(make, seed)
    Of.passes = 0
    with pytest.raises(InputError, match=f"gradient of {names}.* is not the loss's.*restrict") as caught:
        checked_gradients(scape)
    assert Of.passes <= 24
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", RIGHT)
def test_right_gradients_pass(kind):
    scape = made(RIGHT[kind])
    assert checked_gradients(scape) is scape


def test_the_rest_is_sampled_where_it_is_asked_for():
    scape = made(WRONG["hook"][0])
    assert checked_gradients(scape.restrict("b.*")).params.keys() == {"b.weight", "b.bias"}
    with pytest.raises(InputError, match="gives no parameter a gradient"):
        checked_gradients(made(HELD["detach"][0]).restrict("a.*"))


class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.e = nn.Embedding(3, 1, padding_idx=0)

    def forward(self, x):
        return self.e(x).sum(1)


def bag():
    own = torch.Generator().manual_seed(0)
    x = torch.randint(0, 3, (100, 3), generator=own)
    counts = F.one_hot(x, 3).sum(1).float()
    y = counts @ torch.tensor([[0.0], [1.0], [-1.0]]) + 0.7 * torch.randn(100, 1, generator=own)
    module = Bag()
    module.e.weight.data = torch.linalg.lstsq(counts, y).solution
    return module, (x, y), counts


def truth(counts, nbeta, eps, gamma):
    """Of discretised SGLD on least squares."""
    a = 2 * nbeta * torch.linalg.eigvalsh(counts.T.double() @ counts.double() / len(counts))
    return float((a / ((a + gamma) * (1 - eps * (a + gamma) / 4))).sum()) / 2


def test_the_estimate_is_that_of_the_rows_that_have_a_gradient():
    module, given, counts = bag()
    chosen = {"step_size": 4e-3, "gamma": 10.0, "chains": 16, "burn_in": 100, "draws": 500, "batch_size": 100}
    with pytest.warns(UserWarning, match="held at w\\*: e.weight, row 0: ") as caught:
        found = tw.estimate_llc(tw.landscape(module, given, "mse"), **chosen)
    assert len(caught) == 1
    nbeta = found.settings["nbeta"]
    assert found.healthy
    assert abs(found.value - truth(counts[:, 1:], nbeta, 4e-3, 10.0)) < 4 * found.stderr
    assert abs(found.value - truth(counts, nbeta, 4e-3, 10.0)) > 10 * found.stderr  # control: of all rows
    assert found.settings["held"] == ["e.weight, row 0"]
    assert any("e.weight, row 0" in choice for choice in found.to_dict()["choices"])


def test_nothing_that_is_right_changes():
    module, given, _ = bag()
    module.e.padding_idx = None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = tw.estimate_llc(tw.landscape(module, given, "mse"), chains=4, burn_in=10, draws=100)
    assert "held" not in found.settings
    assert not any("held" in choice for choice in found.choices)


def test_a_survey_holds_the_row_at_all_checkpoints(tmp_path):
    module, given, _ = bag()
    for step in (1, 2):
        torch.save({"e.weight": module.e.weight.data + 0.01 * step}, tmp_path / f"step_{step}.pt")
    chosen = {"chains": 2, "burn_in": 5, "draws": 50, "workers": 1}
    with pytest.warns(UserWarning, match="e.weight, row 0"):
        done = tw.survey(tw.landscape(module, given, "mse"), tmp_path, tmp_path / "out", **chosen)
    assert [made["held"] for made in done.settings] == [["e.weight, row 0"]] * 2
    assert "e.weight, row 0" in done.choices[0][0]


def test_a_survey_names_the_checkpoint_whose_gradient_is_wrong(tmp_path):
    torch.manual_seed(0)
    module = WRONG["hook"][0]()
    torch.save(module.state_dict(), tmp_path / "step_1.pt")
    scape = tw.landscape(module, data(module), "mse", name="hooked")
    with pytest.raises(InputError, match=r"step_1.pt: the gradient of a.weight, a.bias is not the loss's"):
        tw.survey(scape, tmp_path, tmp_path / "out", chains=2, burn_in=5, draws=50)
    assert not (tmp_path / "out").exists()


def test_a_row_among_many_is_found_by_its_number():
    def run(self, x):
        return self.o(self.t(self.e(x)).mean(1))

    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    module = Of(run, e=nn.Embedding(5000, 8, padding_idx=4321), t=nn.TransformerEncoder(layer, 2), o=nn.Linear(8, 3))
    nn.init.ones_(module.e.weight[4321].detach())
    own = torch.Generator().manual_seed(0)
    x = torch.randint(5000, (300, 6), generator=own).masked_fill(torch.rand(300, 6, generator=own) < 0.3, 4321)
    scape = tw.landscape(module, (x, torch.randint(3, (300,), generator=own)), "cross_entropy", name="tokens")
    Of.passes = 0
    assert checked_gradients(scape).restriction.held == ("e.weight, row 4321",)
    assert Of.passes <= 24


def test_a_wrong_layer_is_found_among_many():
    def block():
        return nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.GELU())

    torch.manual_seed(0)
    wrong = Of(lambda self, x: x + Sine.apply(self.a(x), 2.0), a=nn.Linear(4, 4))
    module = nn.Sequential(wrong, *(block() for _ in range(12)), nn.Linear(4, 1))
    own = torch.Generator().manual_seed(0)
    given = torch.randn(100, 4, generator=own), torch.randn(100, 1, generator=own)
    Of.passes = 0
    with pytest.raises(InputError, match=r"gradient of 0.a.weight, 0.a.bias is not"):
        checked_gradients(tw.landscape(module, given, "mse", name="deep"))
    assert Of.passes <= 24 + 20  # those of making the landscape
