"""Kinds of point, each against its own exact value at finite n, with controls that must fail."""

import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from typer.testing import CliRunner

import thalweg as tw
from conftest import Net, classes, write_run
from thalweg.cli.main import app
from thalweg.landscape import KINDS, measure, relax
from thalweg.samplers import Engine, Settings, chunks, move, start
from thalweg.store import of_landscape
from thalweg.theory import finite

N, GAMMA = 1000, 5.0
NBETA = N / math.log(N)
SLOPE, CURVATURES = (0.3, 0.0, -0.4), (1.0, 2.0, 0.1)


def doubles(*values):
    return torch.tensor(values, dtype=torch.float64)


def slanted(where=(0.0, 0.0, 0.0)):
    """c.w + sum_i h_i w_i^2 / 2, at a point that is no minimum."""
    c, h = doubles(*SLOPE), doubles(*CURVATURES)
    return tw.potential(lambda w: (c * w["w"]).sum() + 0.5 * (h * w["w"] ** 2).sum(), {"w": doubles(*where)}, n=N)


def near(estimate, truth, errors=4.0):
    return abs(estimate.raw - truth) < errors * estimate.stderr


SAMPLED = {"gamma": GAMMA, "chains": 32, "burn_in": 200, "draws": 1500}
SAMPLED |= {"sampler": "hmc", "step_size": 0.01, "leapfrog_steps": 6}


def test_tilted_is_the_quadratics_own_value_at_any_point():
    truth = finite.regular(CURVATURES, NBETA, GAMMA)
    for where in ((0.0, 0.0, 0.0), (0.5, -1.0, 2.0)):
        found = tw.estimate_llc(slanted(where).restrict(kind="tilted"), **SAMPLED)
        assert found.verdict == "healthy"
        assert near(found, truth)
        assert found.stderr < 0.02 * truth
        assert not near(found, finite.regular(CURVATURES[:2], NBETA, GAMMA))  # control: a direction less is seen
    assert tw.estimate_llc(slanted(), **SAMPLED).verdict == "below-baseline"  # control: as it is, it has no value


def test_relaxed_is_tilted_at_the_point_that_it_finds():
    """Of a quadratic both have its own value; w_r and what is gained are known in closed form."""
    c, h = doubles(*SLOPE), doubles(*CURVATURES)
    found = tw.estimate_llc(slanted().restrict(kind="relaxed"), **SAMPLED)
    assert found.verdict == "healthy"
    assert near(found, finite.regular(CURVATURES, NBETA, GAMMA))
    moved = -NBETA * c / (NBETA * h + GAMMA)
    assert math.isclose(found.settings["distance"], float(moved.norm()) * math.sqrt(GAMMA / 3), rel_tol=1e-4)
    gained = -NBETA * float((c * moved + 0.5 * h * moved**2).sum())
    assert math.isclose(found.settings["nats_gained"], gained, rel_tol=1e-4)
    there = tw.estimate_llc(slanted(moved.tolist()).restrict(kind="tilted"), **SAMPLED)
    assert math.isclose(there.raw, found.raw, rel_tol=1e-4)  # the same path, up to where the descent stopped


def test_the_law_of_relaxed_holds_with_localizations_and_masks():
    """w_r and distance in closed form where weights have localizations of their own and one of them is held."""
    c, h, t = doubles(*SLOPE), doubles(*CURVATURES), doubles(0.5, 1.0, 2.0)
    scape = slanted().restrict(localization={"w": t}, masks={"w": torch.tensor([True, False, True])})
    found = relax(scape, measure(scape), NBETA, GAMMA)
    moved = -NBETA * c / (NBETA * h + GAMMA * t**2) * doubles(1, 0, 1)
    assert torch.allclose(found.params, moved, atol=1e-5)
    assert found.relaxation is not None
    assert math.isclose(found.relaxation.distance, float((t * moved).norm()) * math.sqrt(GAMMA / 2), rel_tol=1e-4)
    free = relax(slanted(), measure(slanted()), NBETA, GAMMA)
    assert not torch.allclose(free.params, moved, atol=1e-2)  # control: one localization for all is another point


def on_grid(loss, gradient, start, point, reach=3.0, count=1201):
    """nbeta E[L(w) - L(p) - dL(p).(w - p)] under exp(-nbeta (that) - gamma/2 |w - p|^2), or under that of L at start.

    Of `relaxed` the posterior is the plain one at the start, so that nothing here knows of the law.
    """
    axes = np.meshgrid(*[np.linspace(-reach, reach, count)] * len(point), indexing="ij")
    slope = gradient(*point)
    excess = loss(*axes) - loss(*point) - sum(g * (w - p) for g, w, p in zip(slope, axes, point, strict=True))
    energy = NBETA * (excess if start is None else loss(*axes))
    center = point if start is None else start
    energy = energy + GAMMA / 2 * sum((w - a) ** 2 for w, a in zip(axes, center, strict=True))
    weight = np.exp(energy.min() - energy)
    return NBETA * float((weight * excess).sum() / weight.sum())


def quartic(x):
    return x**4 + 0.3 * x


def valley(x, y):
    return x**2 * y**2 + x**4 + 0.5 * y**2 + 0.3 * x - 0.2 * y


def two_wells(x):
    return (x**2 - 1) ** 2 - 0.1 * x


POLYNOMIALS = {
    "quartic": (quartic, lambda x: (4 * x**3 + 0.3,), (0.4,)),
    "valley": (
        valley,
        lambda x, y: (2 * x * y**2 + 4 * x**3 + 0.3, 2 * x**2 * y + y - 0.2),
        (0.3, -0.2),
    ),
    "two wells": (two_wells, lambda x: (4 * x * (x**2 - 1) - 0.1,), (0.7,)),
}


def polynomial(name):
    loss, gradient, start = POLYNOMIALS[name]
    return loss, gradient, start, tw.potential(lambda w: loss(*w["w"]), {"w": doubles(*start)}, n=N)


@pytest.mark.parametrize("name", ["quartic", "valley"])
def test_tilted_polynomials_by_quadrature(name):
    loss, gradient, start, scape = polynomial(name)
    truth = on_grid(loss, gradient, None, start)
    found = tw.estimate_llc(scape.restrict(kind="tilted"), **SAMPLED)
    assert found.verdict == "healthy"
    assert near(found, truth)
    assert found.stderr < 0.05 * truth
    assert not near(found, on_grid(loss, gradient, start, start))  # control: under the posterior of L itself


@pytest.mark.parametrize("name", ["quartic", "valley", "two wells"])
def test_relaxed_polynomials_by_quadrature(name):
    loss, gradient, start, scape = polynomial(name)
    point = relax(scape, measure(scape), NBETA, GAMMA).params.tolist()
    truth = on_grid(loss, gradient, start, point)
    found = tw.estimate_llc(scape.restrict(kind="relaxed"), **SAMPLED)
    assert found.verdict == "healthy"
    assert near(found, truth)
    assert found.stderr < 0.05 * truth
    assert not near(found, on_grid(loss, gradient, start, start))  # control: the excess over w* without its slope
    assert found.trace is not None
    assert math.isclose(found.trace.baseline, loss(*point))


def test_a_descent_ends_in_the_basin_that_it_starts_in():
    """At .1, on the ridge between two wells, the parabola points to the far side and has no minimum."""
    for side in (0.1, -0.1):
        scape = tw.potential(lambda w: ((w["w"] ** 2 - 1) ** 2).sum(), {"w": doubles(side)}, n=N)
        found = relax(scape, measure(scape), NBETA, GAMMA)
        assert math.copysign(1.0, side) * found.params.item() > 0.95
        assert not found.unreached


def test_a_kink_is_no_minimum_of_a_smooth_loss_and_gives_a_reason():
    scape = tw.potential(lambda w: w["w"].abs().sum(), {"w": doubles(0.2, 0.1)}, n=N).restrict(kind="relaxed")
    for changes in (SAMPLED, {"gamma": GAMMA}):
        found = tw.estimate_llc(scape, **changes)
        assert found.verdict == "not-relaxed"
        assert math.isnan(found.raw)
        assert "nats from a minimum" in found.reasons[0]
        assert found.to_dict()["value"] is None
        json.dumps(found.to_dict(), allow_nan=False)
        with pytest.raises(tw.UnhealthyError, match="descent"):
            _ = found.value
    with pytest.raises(tw.InputError, match="gamma above 0"):
        tw.estimate_llc(slanted().restrict(kind="relaxed"), **SAMPLED | {"gamma": 0.0})


def test_a_saddle_stays_below_its_baseline_when_the_slope_is_off():
    def saddle(w):
        x, y = w["w"]
        return 0.5 * x**2 - 0.25 * y**2 + y**4 + 0.3 * x

    scape = tw.potential(saddle, {"w": doubles(0.0, 0.0)}, n=N)
    found = tw.estimate_llc(scape.restrict(kind="tilted"), **SAMPLED)
    assert found.verdict == "below-baseline"
    assert found.raw < 0
    free = tw.potential(lambda w: saddle(w) + 0.3 * w["w"][1] ** 2, {"w": doubles(0.0, 0.0)}, n=N)
    assert tw.estimate_llc(free.restrict(kind="tilted"), **SAMPLED).verdict == "healthy"  # control: no saddle


def squares(outputs, targets):
    return 0.5 * (outputs - targets).square().sum(1)


def test_batches_take_off_the_slope_of_all_samples():
    """A regression away from its optimum: without its slope it is the same parabola, on batches too."""
    n, gamma, eps = 400, 1.0, 5e-4
    g = torch.Generator().manual_seed(0)
    inputs, noise = torch.randn(n, 2, generator=g).double(), torch.randn(n, 1, generator=g).double()
    module = nn.Linear(2, 1, bias=False).double()
    with torch.no_grad():
        module.weight.copy_(doubles(0.4, -0.3)[None])
    scape = tw.landscape(module, (inputs, 0.3 * noise), squares).restrict(kind="tilted")
    nbeta, curvatures = n / math.log(n), torch.linalg.eigvalsh(inputs.T @ inputs / n)
    shares = [0.5 * nbeta * h / ((a := nbeta * h + gamma) * (1 - eps * a / 4)) for h in curvatures.tolist()]
    settings = {"step_size": eps, "gamma": gamma, "chains": 32, "burn_in": 300, "draws": 4000, "batch_size": 40}
    found = tw.estimate_llc(scape, control_variates=True, **settings)
    assert found.verdict == "healthy"
    assert abs(found.raw - sum(shares)) < 4 * found.stderr + 0.01 * sum(shares)
    assert found.stderr < 0.04 * sum(shares)
    plain = tw.estimate_llc(scape.restrict(kind="at"), control_variates=True, **settings)
    assert plain.verdict == "below-baseline"
    assert plain.raw < 0  # control: nothing taken off


class Held(nn.Module):
    """Has a tensor of its own that stays float32 whatever its parameters are."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.mixed = torch.tensor([[1.0, 0.5], [-0.5, 1.0]])

    def forward(self, x):
        return self.layer(x) @ self.mixed


def test_a_descent_takes_float64_where_the_model_can_and_comes_as_far_where_it_cannot():
    data, places = classes(inputs=3, outputs=2), []
    module = Held()
    for mixed in (module.mixed, module.mixed.double()):
        module.mixed = mixed  # float64 is refused by a float32 network, and the other way round
        own = module if mixed.dtype == torch.float32 else module.double()
        pair = data if mixed.dtype == torch.float32 else (data[0].double(), data[1])
        scape = tw.landscape(own, pair, F.cross_entropy)
        found = relax(scape, measure(scape), NBETA, GAMMA)
        assert not found.unreached
        assert found.params.dtype == mixed.dtype
        places.append(found.params.double())
    assert torch.allclose(*places, atol=1e-3)


def test_nothing_set_relaxes_too():
    found = tw.estimate_llc(slanted().restrict(kind="relaxed"), budget=4000, chains=16)
    assert found.verdict == "healthy"
    assert near(found, finite.regular(CURVATURES, NBETA, found.settings["gamma"]))
    moved = relax(slanted(), measure(slanted()), NBETA, found.settings["gamma"]).relaxation
    assert moved is not None
    assert found.settings["distance"] == moved.distance > 1
    assert any("of a basin, not of the checkpoint" in choice for choice in found.choices)


def test_kinds_are_named_at_every_door():
    scape = slanted()
    assert scape.restriction.kind == "at"
    assert scape.restrict(orthogonal_to_gradient=True).restriction.kind == "orthogonal"
    assert scape.restrict(kind="tilted").restrict(masks={"w": torch.ones(3).bool()}).restriction.kind == "tilted"
    assert scape.restrict(kind="tilted").restrict(kind="at").restriction.kind == "at"
    for wrong in ({"kind": "tethered"}, {"kind": "tilted", "orthogonal_to_gradient": True}):
        with pytest.raises(tw.InputError, match="kind"):
            scape.restrict(**wrong)


def test_a_relaxed_point_is_not_sampled_before_it_is_found():
    """What is tied to w* would be `tilted` under another name."""
    scape, settings = slanted().restrict(kind="relaxed"), Settings().resolve(N)
    for center in (measure(scape), relax(scape, measure(scape), NBETA, 1.0)):
        (chunk,) = chunks([center], [0], 4, 4)
        if center.relaxation:
            move(Engine(scape, compiled=False), settings, chunk, start(chunk), 1)
        else:
            with pytest.raises(tw.InputError, match="found before it is sampled"):
                move(Engine(scape, compiled=False), settings, chunk, start(chunk), 1)


def half(w):
    return 0.5 * (w["w"] ** 2).sum() + 0.3 * w["w"].sum()


def test_older_kinds_keep_their_keys_and_each_kind_has_its_own():
    scape = tw.potential(half, {"w": torch.zeros(3, dtype=torch.float64)}, n=100, name="half")
    keys = {kind: of_landscape(scape.restrict(kind=kind)) for kind in KINDS}
    assert len(set(keys.values())) == len(KINDS)
    assert keys["at"] == "1667c98f011d1b626220df6c"  # before there were other kinds
    assert keys["orthogonal"] == "1e8fdd8e9c2efb3525021d6e"


def test_a_survey_names_its_kind_in_columns_json_and_page(tmp_path):
    series = tw.checkpoints(write_run(tmp_path / "run", count=2))
    torch.manual_seed(1)
    scape = tw.landscape(Net(), classes(), F.cross_entropy)
    settings = {"chains": 2, "burn_in": 10, "draws": 30, "batch_size": 50, "gamma": 50.0, "step_size": 1e-3}
    found = {}
    for kind in KINDS:
        made = tw.survey(scape.restrict(kind=kind), series, tmp_path / f"{kind}.zarr", workers=1, **settings)
        found[kind] = made
        assert made.kind == made.to_dict()["kind"] == kind
        assert set(made.to_dataframe()["kind"]) == {kind}
        assert kind in made.to_dataframe().to_csv()
        page = tw.atlas(made, tmp_path / f"{kind}.html", others={"plain": found["at"]}).read_text()
        assert ("λ̂ at w*" if kind == "at" else f"λ̂, {kind}") in page
        assert ("plain at w*" in page) == (kind != "at")
        assert ("distance" in made.to_dict()) == ("nats_gained" in made.to_dataframe()) == (kind == "relaxed")
    relaxed = found["relaxed"]
    assert "λ̂, relaxed" in tw.plot(relaxed, tmp_path / "relaxed.svg").read_text()  # its axes
    alone = tw.estimate_llc(scape.at(series.items[0].load()).restrict(kind="relaxed"), **settings)
    assert relaxed.column("llc")[0] == alone.raw
    assert relaxed.column("distance")[0] == alone.settings["distance"] > 0
    assert (relaxed.column("nats_gained") > 0).all()
    for name in ("train_loss", "weight_norm", "gradient_norm"):  # are those of the checkpoints
        assert np.array_equal(relaxed.column(name), found["at"].column(name))


def test_an_older_store_has_one_of_the_two_older_kinds(tmp_path):
    series = tw.checkpoints(write_run(tmp_path / "run", count=1))
    scape = tw.landscape(Net(), classes(), F.cross_entropy).restrict(kind="orthogonal")
    made = tw.survey(scape, series, tmp_path / "s.zarr", workers=1, chains=2, burn_in=0, draws=8)
    del made.settings[0]["kind"]
    assert made.kind == "orthogonal"
    made.settings[0]["orthogonal_to_gradient"] = False
    assert made.kind == "at"


def test_the_command_says_the_kind(tmp_path, monkeypatch):
    write_run(tmp_path / "run", count=1)
    (tmp_path / "world.py").write_text("from conftest import Net as model, classes\ndata = classes()\n")
    monkeypatch.chdir(tmp_path)
    place = {"model": "world.py:model", "data": "world.py:data", "loss": "cross_entropy"}
    given = place | {"chains": "2", "burn-in": "0", "draws": "8", "workers": "1"}
    words = ["survey", "run", *(part for key, value in given.items() for part in (f"--{key}", value))]

    def said(*more):
        return CliRunner().invoke(app, [*words, *more])

    document = json.loads(said("--out", "r.zarr", "--kind", "relaxed", "--json").stdout)
    assert document["kind"] == "relaxed"
    assert document["distance"][0] > 0
    table = said("--out", "r.zarr", "--kind", "relaxed").stdout
    assert all(word in table for word in ("kind", "relaxed", "distance", "nats_gained"))
    short, long = (
        json.loads(said("--out", "o.zarr", "--json", *form).stdout)
        for form in (["--orthogonal"], ["--kind", "orthogonal"])
    )
    assert short["kind"] == long["kind"] == "orthogonal"
    assert short["llc_raw"] == long["llc_raw"]
    for wrong in (["--kind", "tilted", "--orthogonal"], ["--kind", "tethered"]):
        refused = said("--out", "no.zarr", *wrong).exception
        assert isinstance(refused, tw.InputError)
        assert "\n" not in str(refused)
        assert not (tmp_path / "no.zarr").exists()
