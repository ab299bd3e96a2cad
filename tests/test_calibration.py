"""Estimates with nothing set: right at the finite n used, and a reason where there is no number."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import thalweg as tw
from thalweg.check import _models as models
from thalweg.estimators.adaptation._course import Course, Task
from thalweg.estimators.adaptation._curvature import largest_curvature
from thalweg.estimators.adaptation._noisy import find_dynamics
from thalweg.landscape import measure
from thalweg.samplers import Engine
from thalweg.theory import finite

N = 10_000
NBETA = N / math.log(N)


def z(estimate, truth):
    assert estimate.verdict == "healthy", estimate.reasons
    assert estimate.stderr <= 0.05 * estimate.value
    return (estimate.value - truth) / estimate.stderr


def vector(fn, center, n=N):
    return tw.potential(lambda p: fn(p["w"]), {"w": torch.tensor(center, dtype=torch.float64)}, n)


# None of these widths and exponents is a case of the check.
UNLISTED = {
    "w^8": (vector(lambda w: (w**8).sum(), [0.0]), lambda: finite.monomial([4], NBETA, 1.0)),
    "w1^4 w2^6": (
        vector(lambda w: w[0] ** 4 * w[1] ** 6, [0.0, 0.0]),
        lambda: finite.monomial([2, 3], NBETA, 1.0),
    ),
    "4-2-3 at rank 0": (
        models.linear_network(models.matrices((4, 2, 3), 0), N),
        lambda: finite.reduced_rank_origin(4, 2, 3, NBETA, 1.0),
    ),
    "module 3-2-2 at rank 0": (
        models.linear_module(models.matrices((3, 2, 2), 0), N),
        lambda: finite.reduced_rank_origin(3, 2, 2, NBETA, 1.0),
    ),
}


@pytest.mark.parametrize("name", UNLISTED)
def test_nothing_is_set_and_the_number_is_right(name):
    landscape, truth = UNLISTED[name]
    assert abs(z(tw.estimate_llc(landscape), truth())) < 4


def test_a_smaller_error_costs_more_and_is_reached():
    landscape = vector(lambda w: (w**4).sum(), [0.0, 0.0])
    rough, fine = tw.estimate_llc(landscape), tw.estimate_llc(landscape, rtol=0.008)
    assert fine.stderr <= 0.008 * fine.value
    assert fine.settings["gradients"] > rough.settings["gradients"]
    assert abs(z(fine, 2 * finite.monomial([2], NBETA, 1.0))) < 4


def test_the_same_seed_gives_the_same_bits_and_another_seed_another_number():
    landscape = models.linear_network(models.matrices((2, 2, 2), 1), N)
    first, again, other = (tw.estimate_llc(landscape, seed=s) for s in (0, 0, 1))
    assert first.raw == again.raw
    assert np.array_equal(first.trace.loss, again.trace.loss)
    assert first.raw != other.raw


def test_settings_that_it_found_can_be_taken_by_hand():
    landscape = models.linear_network(models.matrices((2, 2, 2), 0), N)
    found = tw.estimate_llc(landscape)
    fields = {k: found.settings[k] for k in tw.Settings.model_fields}
    again = tw.estimate_llc(landscape, tw.Settings(**fields | {"burn_in": 40}))
    assert abs(again.value - found.value) < 4 * math.hypot(again.stderr, found.stderr)


def test_a_point_with_more_singular_ones_near_by_gets_a_stronger_localization_and_its_local_value():
    center = models.matrices((2, 2, 2), 2)
    center["W0"], center["W1"] = 2 * center["W0"], 0 * center["W1"]
    found = tw.estimate_llc(models.linear_network(center, N))
    assert found.settings["gamma"] == 10
    assert "chains reach more singular points" in " ".join(found.choices)
    assert found.value == pytest.approx(2.0, rel=0.06)  # the global coefficient is 3/2
    weak = tw.estimate_llc(models.linear_network(center, N), gamma=1.0)
    assert weak.value < 1.7  # negative control: the localization that is asked for is taken


def test_a_point_that_no_localization_isolates_is_not_localised():
    center = models.matrices((2, 2, 2), 2)
    center["W1"] = 0 * center["W1"]
    found = tw.estimate_llc(models.linear_network(center, 1000))
    assert found.verdict == "not-localised"
    with pytest.raises(tw.UnhealthyError, match="more singular"):
        _ = found.value
    assert found.raw > 0


def test_a_saddle_is_below_its_baseline():
    found = tw.estimate_llc(vector(lambda w: w[0] ** 2 - w[1] ** 2 + w[1] ** 4, [0.0, 0.0]))
    assert found.verdict == "below-baseline"
    assert found.to_dict()["value"] is None


def test_a_gradient_that_good_directions_outweigh_is_seen():
    def tilted(slope):
        return vector(lambda w: 0.5 * w.square().sum() + slope * w[0], [0.0] * 100)

    assert tw.estimate_llc(tilted(0.0)).verdict == "healthy"
    found = tw.estimate_llc(tilted(0.5))
    assert found.verdict == "below-baseline"
    assert "no minimum" in found.reasons[0]


class Dead(nn.Module):
    """One unit whose argument is negative on all inputs, in an open set of weights."""

    def __init__(self):
        super().__init__()
        self.w, self.b, self.a = (nn.Parameter(torch.tensor([x], dtype=torch.float64)) for x in (0.1, -30.0, 1.0))

    def forward(self, x):
        return self.a * F.relu(self.w * x + self.b)


def test_a_dead_unit_has_an_open_set_of_zero_loss_and_reads_zero():
    x = torch.rand(100, 1, generator=torch.Generator().manual_seed(0)).double()
    landscape = tw.landscape(Dead(), (x, torch.zeros_like(x)), nn.MSELoss())
    found = tw.estimate_llc(landscape, chains=64)
    assert found.verdict == "healthy"
    assert found.value == 0.0


def test_too_little_budget_is_not_stationary():
    found = tw.estimate_llc(models.linear_network(models.matrices((5, 5, 5, 5, 5), 2), N), budget=300)
    assert found.verdict == "not-stationary"


def test_seconds_become_a_count_that_is_kept():
    found = tw.estimate_llc(UNLISTED["w^8"][0], rtol=0.001, seconds=0.5, chains=16)
    assert found.settings["seconds"] == 0.5
    assert 100 <= found.settings["budget"] != tw.Auto().budget
    assert found.settings["gradients"] <= 1.1 * found.settings["budget"]


def test_choices_say_what_was_run():
    found = tw.estimate_llc(UNLISTED["w^8"][0], chains=32)
    assert found.choices[0].startswith("hmc on the full gradient: 32 chains")


def test_noisy_batches_agree_with_the_full_gradient():
    """5 % of heating by batches is taken out; the same chains without extrapolation miss."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(4000, 4, generator=g)
    net = nn.Sequential(nn.Linear(4, 3, bias=False), nn.Linear(3, 4, bias=False))
    with torch.no_grad():
        for layer in net:
            layer.weight.copy_(
                torch.eye(*layer.weight.shape) * torch.tensor([1.0, 1.0, 0.0, 0.0])[: layer.in_features]
            )
    y = net(x).detach() + 0.3 * torch.randn(4000, 4, generator=g)
    w = torch.linalg.lstsq(x, y).solution.T
    u, s, v = torch.linalg.svd(w)
    with torch.no_grad():  # a minimum of the full data: the best map of rank 3, balanced
        root = torch.diag(s[:3].sqrt())
        net[0].weight.copy_(root @ v[:3])
        net[1].weight.copy_(u[:, :3] @ root)
    landscape = tw.landscape(net, (x, y), models.half_square)
    landscape = landscape.restrict(orthogonal_to_gradient=True)
    full = tw.estimate_llc(landscape, full_gradient=True, chains=16, gamma=10.0, rtol=0.02, budget=2000)
    mini = tw.estimate_llc(landscape, full_gradient=False, chains=16, gamma=10.0, rtol=0.02, budget=2000)
    assert (full.settings["sampler"], mini.settings["sampler"]) == ("hmc", "sghmc")
    assert abs(full.value - mini.value) < 4 * math.hypot(full.stderr, mini.stderr)


def test_noise_is_measured_where_the_chains_are_and_not_at_the_centre_alone():
    """At w* control variates leave no noise at all."""
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(600, 5, generator=g), torch.randint(3, (600,), generator=g)
    net = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))
    landscape = tw.landscape(net, (x, y), F.cross_entropy)
    auto = tw.Auto(full_gradient=False, chains=16, gamma=1.0).resolve(landscape)
    task = Task(Engine(landscape, compiled=False), auto, measure(landscape), 0, lambda _: None)
    course = Course.begin(task, sampler="sghmc", gamma=1.0)
    find_dynamics(course, measure(landscape), noisy=True)
    assert course.spent > 64 * course.cost  # more than the first pilot, which starts at w*


def test_the_largest_curvature_is_that_of_the_hessian():
    h = torch.tensor([0.01, 3.0, 40.0], dtype=torch.float64)
    landscape = vector(lambda w: 0.5 * (h * w.square()).sum(), [0.0, 0.0, 0.0])
    center = measure(landscape)
    assert largest_curvature(landscape, center, center.params) == pytest.approx(40, rel=0.02)
    quartic = vector(lambda w: (w**4).sum(), [0.0])
    assert largest_curvature(quartic, measure(quartic), torch.zeros(1).double()) == 0


def test_a_rescaled_relu_network_has_its_estimate_back_with_its_localization():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(200, 2, generator=g).double()
    net = nn.Sequential(nn.Linear(2, 3, bias=False), nn.ReLU(), nn.Linear(3, 1, bias=False)).double()
    with torch.no_grad():
        net[0].weight.copy_(torch.randn(3, 2, generator=g))
        net[2].weight.copy_(torch.randn(1, 3, generator=g))
    y = net(x).detach()
    plain = tw.landscape(net, (x, y), models.half_square, n=N)
    with torch.no_grad():
        net[0].weight.mul_(10)
        net[2].weight.div_(10)
    scaled = tw.landscape(net, (x, y), models.half_square, n=N)
    tied = scaled.restrict(localization={"0.weight": 0.1, "2.weight": 10.0})
    before, after, isotropic = (tw.estimate_llc(s, gamma=10.0, chains=64, rtol=0.015) for s in (plain, tied, scaled))
    assert abs(before.value - after.value) < 4 * math.hypot(before.stderr, after.stderr)
    assert abs(isotropic.raw - before.value) > 6 * math.hypot(before.stderr, isotropic.stderr)  # negative control


def test_bad_choices_are_named():
    landscape = vector(lambda w: w.square().sum(), [0.0])
    for changes, words in (
        ({"rtol": 2.0}, "setting rtol"),
        ({"budget": 3}, "setting budget"),
        ({"rtoll": 0.1}, "'rtoll': is it 'rtol'"),
        ({"rtol": 0.1, "step_size": 1e-3}, "rtol lets .* step_size gives .*leave one"),
        ({"settings": tw.Settings(), "budget": 1000}, "budget lets .* tw.Settings gives"),
        ({"settings": tw.Auto(), "draws": 100}, "tw.Auto lets .* draws gives"),
        ({"settings": {"draws": 100}}, "settings is a dict"),
    ):
        with pytest.raises(tw.InputError, match=words):
            tw.estimate_llc(landscape, **changes)
    with pytest.raises(tw.InputError, match="unknown setting 'step_size'"):
        tw.Auto(step_size=1.0)
    with pytest.raises(tw.InputError, match="setting chains = 0"):
        tw.Settings(chains=0)
    with pytest.raises(tw.InputError, match="landscape is a Linear"):
        tw.estimate_llc(nn.Linear(2, 2))
