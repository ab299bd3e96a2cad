"""Landscapes: per-sample losses of everyone's modules, data and losses, or a refusal that names the remedy."""

import functools

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, WeightedRandomSampler

import thalweg as tw
from conftest import Net, classes
from thalweg.landscape import measure


def per_sample(scape):
    return measure(scape).losses


def test_any_torch_loss_is_one_number_per_sample():
    net, (x, y) = Net(), classes()
    for loss in (F.cross_entropy, nn.CrossEntropyLoss(), functools.partial(F.cross_entropy, label_smoothing=0.0)):
        assert torch.allclose(
            per_sample(tw.landscape(net, (x, y), loss)), F.cross_entropy(net(x), y, reduction="none")
        )
    given = nn.CrossEntropyLoss()
    tw.landscape(net, (x, y), given)
    assert given.reduction == "mean"  # the user's own loss is not touched


def test_trailing_axes_are_summed_for_numbers_and_averaged_over_tokens():
    net, x, y = Net(), torch.randn(20, 7), torch.randn(20, 3)
    assert torch.allclose(per_sample(tw.landscape(net, (x, y), F.mse_loss)), (net(x) - y).square().sum(1))

    tokens, labels = torch.randint(5, (12, 6)), torch.randint(5, (12, 6))
    labels[:, 4:] = -100
    model = nn.Sequential(nn.Embedding(5, 8), nn.Linear(8, 5))

    class Swapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, t):
            return self.model(t).transpose(1, 2)

    scape = tw.landscape(Swapped(), (tokens, labels), F.cross_entropy)
    expected = torch.stack([F.cross_entropy(model(t)[:4], s[:4]) for t, s in zip(tokens, labels, strict=True)])
    assert scape.n == 12  # sequences, not tokens
    assert torch.allclose(per_sample(scape), expected, atol=1e-6)
    assert tw.landscape(Swapped(), (tokens, labels), F.cross_entropy, n=72).n == 72


def test_one_number_per_batch_is_refused_with_the_remedy():
    for loss in (lambda out, y: F.cross_entropy(out, y), lambda out, y: 0.5):
        with pytest.raises(tw.InputError, match='reduction="none"'):
            tw.landscape(Net(), classes(), loss)


def test_the_module_is_copied_and_in_eval_mode():
    net = nn.Sequential(nn.Linear(7, 16), nn.Dropout(0.5), nn.Linear(16, 3)).train()
    scape = tw.landscape(net, classes(), F.cross_entropy)
    before = measure(scape).loss
    assert net.training
    with torch.no_grad():
        net[0].weight.zero_()
    assert measure(scape).loss == before


def test_only_parameters_that_require_gradients_move():
    net = Net()
    net.layers[0].requires_grad_(False)
    scape = tw.landscape(net, classes(), F.cross_entropy)
    assert set(scape.params) == {"layers.2.weight", "layers.2.bias"}
    assert set(scape.frozen) == {"layers.0.weight", "layers.0.bias"}


def test_buffers_belong_to_their_checkpoint():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(7, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, 3))
    scape = tw.landscape(net, classes(), F.cross_entropy)
    state = {k: v.clone() for k, v in net.state_dict().items()}
    state["1.running_mean"] += 1.0
    moved = scape.at(state)
    net.load_state_dict(state)
    net.eval()
    x, y = classes()
    assert measure(moved).loss == pytest.approx(F.cross_entropy(net(x), y).item(), rel=1e-5)
    assert measure(moved).loss != pytest.approx(measure(scape).loss, rel=1e-3)
    assert scape.engine == "serial"
    assert "BatchNorm1d" in scape.engine_reason


class Branching(nn.Module):
    """Its path depends on the data: vmap cannot take it."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(7, 3), nn.Linear(7, 3)

    def forward(self, x):
        return self.a(x) if x.sum() * self.a.weight.sum() > 0 else self.b(x)


def test_a_model_that_vmap_cannot_take_runs_serially_and_says_so():
    scape = tw.landscape(Branching(), classes(), F.cross_entropy)
    assert scape.engine == "serial"
    assert "vmap" in scape.engine_reason
    estimate = tw.estimate_llc(scape, chains=2, burn_in=20, draws=60, batch_size=16, step_size=1e-4)
    assert estimate.settings["engine"] == "serial"
    assert estimate.raw == estimate.raw


def test_tied_weights_and_their_aliases():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.out = nn.Embedding(5, 4), nn.Linear(4, 5, bias=False)
            self.out.weight = self.embed.weight

        def forward(self, t):
            return self.out(self.embed(t))

    scape = tw.landscape(Tied(), (torch.randint(5, (30,)), torch.randint(5, (30,))), F.cross_entropy)
    assert set(scape.params) == {"embed.weight"}
    state = Tied().state_dict()
    assert torch.equal(scape.at(state).params["embed.weight"], state["embed.weight"])
    assert torch.equal(scape.at({"out.weight": state["out.weight"]}).params["embed.weight"], state["embed.weight"])


def test_weights_that_do_not_fit_are_named():
    scape, state = tw.landscape(Net(), classes(), F.cross_entropy), Net().state_dict()
    with pytest.raises(tw.InputError, match=r"layers\.2\.bias"):
        scape.at({k: v for k, v in state.items() if k != "layers.2.bias"})
    with pytest.raises(tw.InputError, match="extra"):
        scape.at({**state, "extra": torch.zeros(1)})
    with pytest.raises(tw.InputError, match="shape"):
        scape.at({**state, "layers.0.bias": torch.zeros(4)})
    with pytest.raises(tw.InputError, match="NaN"):
        scape.at({**state, "layers.0.bias": torch.full((13,), float("nan"))})


class Noisy(Dataset):
    transform = nn.Dropout(0.5)

    def __len__(self):
        return 50

    def __getitem__(self, i):
        return self.transform(torch.ones(7)), 1


class Stream(IterableDataset):
    def __iter__(self):
        yield torch.ones(7), 1


def test_data_of_any_common_kind_is_the_same_landscape():
    x, y = classes()
    net, dataset = Net(), TensorDataset(x, y)
    plain = per_sample(tw.landscape(net, (x, y), F.cross_entropy))
    for data in (dataset, DataLoader(dataset, batch_size=7), (x.numpy(), y.tolist())):
        assert torch.equal(per_sample(tw.landscape(net, data, F.cross_entropy)), plain)
    shuffled = tw.landscape(net, DataLoader(dataset, batch_size=7, shuffle=True, num_workers=2), F.cross_entropy)
    assert torch.equal(per_sample(shuffled), plain)


def test_what_data_cannot_be_honoured_is_refused_by_name():
    x, y = classes()
    dataset, net = TensorDataset(x, y), Net()
    weighted = DataLoader(dataset, sampler=WeightedRandomSampler([1.0] * 200, 200))
    cases = {
        "WeightedRandomSampler": weighted,
        "Dropout": Noisy(),
        "Stream": DataLoader(Stream()),
        "drop_last": DataLoader(dataset, batch_size=7, drop_last=True),
        "unequal length": (x, y[:-1]),
        "empty": (x[:0], y[:0]),
        "not understood": 3,
    }
    for name, data in cases.items():
        with pytest.raises(tw.InputError, match=name):
            tw.landscape(net, data, F.cross_entropy)


def test_a_module_that_draws_random_numbers_is_refused():
    class Random(nn.Linear):
        def forward(self, x):
            return super().forward(x) + torch.rand(3)

    with pytest.raises(tw.InputError, match="random"):
        tw.landscape(Random(7, 3), classes(), F.cross_entropy)


def test_restrictions_that_match_nothing_are_named(net_landscape):
    with pytest.raises(tw.InputError, match=r"head\.\*"):
        net_landscape.restrict(names="head.*")
    with pytest.raises(tw.InputError, match="mask"):
        net_landscape.restrict(masks={"layers.0.bias": torch.ones(2, dtype=torch.bool)})
    part = net_landscape.restrict(names="layers.0.*")
    assert set(part.params) == {"layers.0.weight", "layers.0.bias"}
    assert measure(part).loss == measure(net_landscape).loss


def test_settings_out_of_range_are_named(net_landscape):
    for name, value in {
        "draws": 0,
        "step_size": -1.0,
        "gamma": float("nan"),
        "chains": 0,
        "temperature": 1.0,
    }.items():
        with pytest.raises(tw.InputError, match=name):
            tw.estimate_llc(net_landscape, **{name: value})


def test_a_sample_whose_loss_depends_on_its_neighbours_is_refused():
    class Centred(Net):
        def forward(self, x):
            return super().forward(x - x.mean(0))

    x, y = torch.randn(30, 7), torch.randn(30)
    cases = {
        "broadcast": (nn.Linear(7, 1), (x, y), F.mse_loss),  # (B, 1) against (B,)
        "mixed": (Centred(), classes(), F.cross_entropy),
        "labels": (nn.Linear(7, 3), classes(), F.mse_loss),
    }
    for module, data, loss in cases.values():
        with pytest.raises(tw.InputError, match=r"beside it|broadcasting"):
            tw.landscape(module, data, loss)


def test_wrong_input_is_said_in_our_words():
    x, y = classes()
    late = y.clone()
    late[150] = 7  # far behind the samples that are tried first
    with pytest.raises(tw.InputError, match="Target 7"):
        measure(tw.landscape(Net(), (x, late), F.cross_entropy))
    with pytest.raises(tw.InputError, match="does not require grad"):
        measure(tw.landscape(Net(), (x, y), lambda o, t: F.cross_entropy(o, t, reduction="none").detach()))
    with pytest.raises(tw.InputError, match="bfloat16"):
        tw.landscape(Net().bfloat16(), (x.bfloat16(), y), F.cross_entropy)
    with pytest.raises(tw.InputError, match="module is a int"):
        tw.landscape(3, (x, y), F.cross_entropy)
    with pytest.raises(tw.InputError, match="dict of tensors"):
        tw.potential(lambda w: (w**2).sum(), torch.zeros(3), 100)
    with pytest.raises(tw.InputError, match=r"KeyError.*names"):
        tw.potential(lambda p: (p["v"] ** 2).sum(), {"w": torch.zeros(3)}, 100)
    with pytest.raises(tw.InputError, match="does not require grad"):
        tw.potential(lambda p: (p["w"].detach() ** 2).sum(), {"w": torch.zeros(3)}, 100)
    sick = Net()
    torch.nn.init.constant_(sick.layers[0].bias, float("nan"))
    with pytest.raises(tw.InputError, match=r"layers\.0\.bias"):
        tw.landscape(sick, (x, y), F.cross_entropy)
    with pytest.raises(tw.InputError, match="unknown loss 'crossentropy'"):
        tw.landscape(Net(), (x, y), "crossentropy")
    assert torch.equal(
        measure(tw.landscape(net := Net(), (x, y), "cross_entropy")).losses,
        measure(tw.landscape(net, (x, y), F.cross_entropy)).losses,
    )


def test_the_data_are_copied():
    x, y = classes()
    scape = tw.landscape(Net(), (x, y), F.cross_entropy)
    before = measure(scape).loss
    x.mul_(3)
    assert measure(scape).loss == before


def test_restrictions_add_up():
    scape = tw.landscape(Net(), classes(), F.cross_entropy)
    low, high = torch.arange(13) < 7, torch.arange(13) > 4
    both = scape.restrict(masks={"layers.0.bias": low}).restrict(masks={"layers.0.bias": high})
    assert both.restriction.masks is not None
    assert torch.equal(both.restriction.masks["layers.0.bias"], low & high)  # nothing is opened again
    other = both.restrict(names="layers.2.*")
    assert other.mask is None
    bias = scape.restrict(names="layers.0.bias", masks={"layers.0.bias": low})
    with pytest.raises(tw.InputError, match="no weight"):
        bias.restrict(masks={"layers.0.bias": ~low})


def test_ignored_labels_are_refused_where_they_are_samples():
    x, y = classes()
    y[3] = -100
    with pytest.raises(tw.InputError, match="-100"):
        tw.landscape(Net(), (x, y), F.cross_entropy)
