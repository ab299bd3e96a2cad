"""Surfaces against closed forms, cliffs against planted ones, and the verb that draws them."""

import importlib
import json
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import thalweg as tw
from conftest import classes, generator
from test_atlas import a_chart, read
from thalweg.atlas import contour_map, line_map
from thalweg.atlas._figure import draw
from thalweg.atlas._page import TableRow, write
from thalweg.cli import main
from thalweg.envs import Played
from thalweg.envs.corner import Mouse, corner
from thalweg.rl import regret_landscape, sampled_landscape
from thalweg.surfaces import Cliff, Line, along, cliffs, has_plane, line, surface
from thalweg.surfaces.cliffs import KEPT, SHARE
from thalweg.surfaces.plane import _direction as direction

SEGMENT, POINTS, FINE = 0.02, 20, 10
SIZES = np.concatenate([[0], SEGMENT * np.arange(1, FINE + 1) / (FINE + 1), SEGMENT * np.arange(1, POINTS + 1)])
ENDS = [0, *range(FINE + 1, len(SIZES))]


class Conv(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(2, 3, 3), nn.Linear(12, 4)

    def forward(self, x):
        return self.head(self.conv(x).relu().flatten(1))


def conv_landscape():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Conv()
    return tw.landscape(net, (torch.randn(9, 2, 4, 4, generator=generator()), torch.arange(9) % 4), "cross_entropy")


def quadratic(dtype=torch.float64, tilt=0.0):
    a = torch.randn(10, 10, generator=generator(1), dtype=torch.float64)
    a, w = (a @ a.T / 10).to(dtype), torch.randn(2, 5, generator=generator(2), dtype=torch.float64).to(dtype)

    def loss(p):
        flat = p["w"].flatten()
        return 0.5 * flat @ a @ flat + tilt

    return tw.potential(loss, {"w": w}, 100), a.double().numpy(), w.double().numpy().ravel()


def flat(params):
    return torch.cat([v.flatten() for v in params.values()]).double().numpy()


def test_every_filter_of_a_direction_has_the_norm_of_that_filter_of_w():
    scape = conv_landscape()
    d = direction(scape, 0, 1)
    assert {k: v.shape for k, v in d.items()} == {k: v.shape for k, v in scape.params.items()}
    for name in ("conv.weight", "head.weight"):
        found, wanted = (p[name].flatten(1).norm(dim=1) for p in (d, scape.params))
        torch.testing.assert_close(found, wanted, rtol=1e-6, atol=0)
    by_others = [p["conv.weight"].transpose(0, 3).flatten(1).norm(dim=1) for p in (d, scape.params)]
    assert not torch.allclose(*by_others, rtol=1e-2)  # the layout of another library
    assert not d["conv.bias"].any()
    assert not d["head.bias"].any()


def test_directions_are_the_seeds_and_no_others():
    scape = conv_landscape()
    one, again, other, second = (flat(direction(scape, *key)) for key in ((0, 1), (0, 1), (1, 1), (0, 2)))
    np.testing.assert_array_equal(one, again)
    for different in (other, second):
        assert abs(one @ different) < 0.5 * one @ one


def test_masks_and_parameters_without_filters():
    scape, _, w = quadratic()
    mask = torch.zeros(2, 5, dtype=torch.bool)
    mask[0, :3] = True
    d = flat(direction(scape.restrict(masks={"w": mask}), 0, 1))
    assert not d[3:].any()
    assert np.linalg.norm(d[:3]) == pytest.approx(np.linalg.norm(w[:3]))
    vector = tw.potential(
        lambda p: p["a"].sum() ** 2 + p["b"] ** 2, {"a": torch.arange(3.0), "b": torch.ones(())}, 10
    )
    d = direction(vector, 0, 1)
    assert d["a"].norm() == pytest.approx(5**0.5)
    assert d["b"].abs() == pytest.approx(1)
    still = scape.at({"w": torch.zeros(2, 5)})
    assert has_plane(scape)
    assert not has_plane(still)
    with pytest.raises(tw.InputError, match="every filter of w\\* is zero"):
        surface(still)


@pytest.mark.parametrize(("dtype", "precision"), [(torch.float32, 1e-6), (torch.float64, 1e-12)])
def test_the_surface_of_a_quadratic_is_its_closed_form(dtype, precision):
    scape, a, w = quadratic(dtype)
    found = surface(scape, size=7, extent=0.8, seed=3)
    d1, d2 = (flat(direction(scape, 3, k)) for k in (1, 2))
    points = w + found.x[None, :, None] * d1 + found.y[:, None, None] * d2  # row by y, column by x
    exact = 0.5 * np.einsum("yxi,ij,yxj->yx", points, a, points)
    np.testing.assert_allclose(found.loss, exact, rtol=precision, atol=precision * exact.max())
    assert found.x[3] == found.y[3] == 0
    assert found.stderr is None
    assert not np.allclose(found.loss.T, exact, rtol=1e-2)


def test_the_gradient_as_a_direction():
    scape, a, w = quadratic()
    found = surface(scape, size=5, directions="gradient")
    down = -a @ w / np.linalg.norm(a @ w) * np.linalg.norm(flat(direction(scape, 0, 1)))
    points = w + found.x[:, None] * down
    np.testing.assert_allclose(found.loss[2], 0.5 * np.einsum("xi,ij,xj->x", points, a, points), rtol=1e-10)
    bowl = tw.potential(lambda p: (p["w"] - 1).square().sum(), {"w": torch.ones(2, 2)}, 10)
    with pytest.raises(tw.InputError, match="gradient at w\\* is zero"):
        surface(bowl, directions="gradient")


def test_one_engine_or_the_other(net_landscape):
    serial = replace(net_landscape, engine="serial")
    assert net_landscape.engine == "batched"
    one, two = (surface(scape, size=5) for scape in (net_landscape, serial))
    np.testing.assert_allclose(one.loss, two.loss, rtol=1e-6)
    np.testing.assert_allclose(one.stderr, two.stderr, rtol=1e-5)
    np.testing.assert_allclose(line(net_landscape).loss, line(serial).loss, rtol=1e-6)
    np.testing.assert_array_equal(surface(net_landscape, size=5).loss, one.loss)


def test_losses_and_errors_are_those_of_the_samples(net_landscape):
    scape, (inputs, targets) = net_landscape, classes()

    def losses(shift):
        weights = {k: w + s for (k, w), s in zip(scape.params.items(), shift, strict=True)}
        return scape.losses(weights, {}, inputs, targets).double().numpy()

    found, d = surface(scape, size=3), direction(scape, 0, 2)
    here = losses(d.values())
    assert found.loss[2, 1] == pytest.approx(here.mean(), rel=1e-6)
    assert found.stderr[2, 1] == pytest.approx(here.std(ddof=1) / 200**0.5, rel=1e-5)
    along_gradient = line(scape)
    net = {k: w.clone().requires_grad_() for k, w in scape.params.items()}
    grads = torch.autograd.grad(scape.losses(net, {}, inputs, targets).mean(), list(net.values()))
    length = torch.cat([g.flatten() for g in grads]).norm()
    before, after = losses([0.0 * g for g in grads]), losses([-0.4 * g / length for g in grads])
    assert along_gradient.loss[-1] == pytest.approx(after.mean(), rel=1e-6)
    assert along_gradient.error(0, 30) == pytest.approx((after - before).std(ddof=1) / 200**0.5, rel=1e-4)
    assert along_gradient.error(0, 30) < np.hypot(*along_gradient.stderr[[0, -1]])  # the same samples at both


def test_the_line_of_a_quadratic():
    scape, a, w = quadratic(tilt=-50.0)
    found = line(scape, length=0.4)
    np.testing.assert_allclose(found.sizes, SIZES, rtol=1e-12)
    points = w - SIZES[:, None] * (a @ w) / np.linalg.norm(a @ w)
    np.testing.assert_allclose(found.loss, 0.5 * np.einsum("xi,ij,xj->x", points, a, points) - 50, rtol=1e-12)
    assert list(found.walk) == [0, 10, *range(11, 31)]
    assert found.directed
    assert found.stderr is None
    assert list(line(scape, points=4, fine=0).walk) == [0, 1, 2, 3, 4]


def test_maps_follow_layers_that_are_rescaled_but_no_other_way_to_write_the_network():
    shapes = ((9, 4), (3, 4), (2, 3))
    x, w1, w2 = (torch.randn(*shape, generator=generator(k)).double() for k, shape in enumerate(shapes))

    def map_of(mix, bend):
        """Of y = w2 bend(w1 x) with `mix` between the layers: one function of x, if bend lets it pass."""
        center = {"w1": mix @ w1, "w2": w2 @ torch.linalg.inv(mix)}
        truth = bend(x @ w1.T) @ w2.T
        scape = tw.potential(lambda p: (bend(x @ p["w1"].T) @ p["w2"].T - truth).square().mean(), center, 50)
        assert scape.losses(center, {}, None, None).item() == pytest.approx(0, abs=1e-20)
        return surface(scape, size=5).loss

    eye, shear = torch.eye(3).double(), torch.ones(3, 3).triu().double()
    np.testing.assert_allclose(map_of(10 * eye, torch.relu), map_of(eye, torch.relu), rtol=1e-9, atol=1e-12)
    assert map_of(shear, torch.clone).mean() > 1.5 * map_of(eye, torch.clone).mean()  # at the same lambda


def test_levels_are_no_draws_so_that_exact_regret_has_no_error():
    levels = corner(4, alpha=0.5, discount=0.9)
    exact = regret_landscape(Mouse(4, (8,)), levels, n=1000)
    sampled = sampled_landscape(Mouse(4, (8,)), Played(levels), 20, n=1000)
    assert line(exact).covariance is None
    assert surface(exact, size=3).stderr is None
    assert line(sampled, length=0.01, points=2, fine=0).stderr[-1] > 0


def test_without_a_gradient_there_is_a_line_of_one_point():
    scape, *_ = quadratic()
    states = [(0, {"w": torch.zeros(2, 5)}), (10, scape.params)]
    lines = along(scape, iter(states))
    assert [(step, found.directed) for step, found in lines] == [(0, False), (10, True)]
    assert lines[0][1].loss.tolist() == [0.0]
    assert cliffs(lines) == cliffs([]) == cliffs(lines[:1]) == []


def test_what_is_refused():
    scape, *_ = quadratic()
    with pytest.raises(tw.InputError, match="odd number"):
        surface(scape, size=20)
    with pytest.raises(tw.InputError, match="extent"):
        surface(scape, extent=0)
    with pytest.raises(tw.InputError, match="directions 'pca'"):
        surface(scape, directions="pca")
    with pytest.raises(tw.InputError, match="length"):
        line(scape, length=float("nan"))
    with pytest.raises(tw.InputError, match="step 5: weights of 'w' hold NaN"):
        along(scape, [(5, {"w": torch.full((2, 5), float("nan"))})])
    edge = tw.potential(lambda p: -torch.log(p["w"]).sum(), {"w": torch.full((2, 2), 0.3)}, 10)
    with pytest.raises(tw.InputError, match=r"not finite at x = -?\d.*, y = -?\d.* of the plane"):
        surface(edge, size=5, extent=2)
    hill = tw.potential(lambda p: torch.log(p["w"]).sum(), {"w": torch.full((2, 2), 0.3)}, 10)
    with pytest.raises(tw.InputError, match=r"not finite at step size 0\.6"):
        line(hill, length=1.0, points=10)
    for sizes, loss in (([0, 1], [1.0]), ([1, 2], [1.0, 2.0]), ([0, 0], [1.0, 2.0]), ([0, 1], [1.0, np.nan])):
        with pytest.raises(tw.InputError):
            Line(np.array(sizes), np.array(loss), None, 0)


def a_line(height, error=0.0, rng=None, scale=1.0, shift=0.0, shared=False):
    """A line of these returns; with errors, their own at every point or most of them in common."""
    loss, count = -(scale * height + shift), len(height)
    if not error:
        return Line(SIZES, loss)
    own, common = error * scale, 2 * error * scale * shared
    noise = own * rng.normal(size=count) + common * rng.normal()
    return Line(SIZES, loss + noise, own**2 * np.eye(count) + common**2)


def worst(height):
    """The largest fall over one or two segments."""
    ends = height[ENDS]
    return max([ends[i] - ends[j] for j in range(1, len(ends)) for i in (j - 1, j - 2) if i >= 0] + [0])


def smooth(rng):
    """Returns in [0, 1] that nowhere fall by more than a fifth within two segments."""
    t, kind = SIZES / SIZES[-1], rng.integers(5)
    if kind == 0:  # falls evenly, as far as to nothing
        r = rng.uniform(0.1, 1) * (1 - rng.uniform(0, 1) * t)
    elif kind == 1:  # rises
        r = 1 - (1 - t) ** rng.uniform(1, 6) * rng.uniform(0.2, 1)
    elif kind == 2:  # waves
        r = sum(rng.normal() / k * np.sin(np.pi * k * t + rng.uniform(0, 6.3)) for k in (1, 2, 3, 4))
        r = (r - r.min()) / max(np.ptp(r), 1e-9)
    elif kind == 3:  # gives way at once, and levels off
        r = 0.3 + 0.7 * np.exp(-t / rng.uniform(0.05, 1))
    else:
        r = np.full(len(t), rng.uniform(0, 1))
    if worst(r) > 0.2:
        r = r.mean() + (r - r.mean()) * 0.2 / worst(r)
    return r


def planted(rng):
    """Returns in [0, 1] that collapse within half a segment: by 0.36 or more, to 0.4 of their height or less."""
    foot, width = rng.uniform(0, 0.9) * SIZES[-1], rng.uniform(0, 0.5) * SEGMENT
    before = rng.uniform(0.6, 1)
    left = rng.uniform(0, 0.4) * before
    r = before + rng.choice([0, 1]) * rng.uniform(-0.1, 1 - before) * SIZES / SIZES[-1]
    gone = 1 / (1 + np.exp(-np.clip((SIZES - foot - 1e-9) / max(width / 4, 1e-6), -500, 500)))
    return r * (1 - gone) + left * gone


def a_run(rng, error, share):
    """Thirty lines, `share` of them with a cliff, and two that span [0, 1]; returns of any sign and unit."""
    scale = 10 ** rng.uniform(-3, 3)
    unit = {"scale": scale, "shift": scale * rng.uniform(-3, 3)}
    true = rng.random(30) < share
    lines = [
        a_line(planted(rng) if has else smooth(rng), error, rng, shared=bool(k % 2), **unit)
        for k, has in enumerate(true)
    ]
    ends = [a_line(np.full(len(SIZES), level), **unit) for level in (0.0, 1.0)]
    return list(enumerate([*lines, *ends])), set(np.flatnonzero(true).tolist())


@pytest.mark.parametrize("error", [0.0, 0.01, 0.03, 0.05])  # of the range of the run
def test_planted_cliffs_are_found_and_smooth_lines_have_none(error):
    rng = np.random.default_rng(7)
    hit = many = false = rest = 0
    for _ in range(12):
        lines, true = a_run(rng, error, 0.4)
        found = {cliff.step for cliff in cliffs(lines)}
        hit, many = hit + len(found & true), many + len(true)
        false, rest = false + len(found - true), rest + 30 - len(true)
    assert many + rest == 360
    assert hit >= 0.92 * many
    assert false <= 0.02 * rest


def test_noise_alone_has_no_cliffs_and_without_its_errors_it_would():
    rng = np.random.default_rng(3)
    level = np.full(len(SIZES), 0.3)
    runs = [[(k, a_line(level, 0.05, rng, shared=k % 2)) for k in range(20)] for _ in range(20)]
    assert sum(len(cliffs(run)) for run in runs) <= 0.05 * 400
    told = [[(k, Line(SIZES, found.loss)) for k, found in run] for run in runs]
    assert sum(len(cliffs(run)) for run in told) > 0.2 * 400  # the negative control


def test_a_run_without_range_has_no_cliffs():
    rounding = 7.0 + 1e-7 * np.random.default_rng(0).normal(size=len(SIZES))
    assert cliffs([(0, a_line(rounding)), (1, a_line(rounding[::-1]))]) == []
    assert len(cliffs([(0, a_line(np.where(SIZES > 0.1, 0.0, 1e-9)))])) == 1  # a small regret is a regret


def test_the_two_rules():
    def first(height):
        found = cliffs([(0, a_line(np.array(height))), (1, a_line(np.array([0.0] + [1.0] * 30)))])
        return found[0] if found else None

    level = np.ones(31)
    near = level.copy()
    near[10:] = 0.5  # within the first segment, to exactly half
    assert first(near) == Cliff(0, pytest.approx(SIZES[10]), 0.0, 0.5)
    near[10:] = 0.51
    assert first(near) is None
    later = level.copy()
    later[20:] = 0.3  # from one segment to the next
    assert first(later) == Cliff(0, pytest.approx(SIZES[20]), pytest.approx(SIZES[19]), pytest.approx(0.7))
    later[20], later[21:] = 0.7, 0.45  # over two segments, neither half of which is enough
    assert first(later) == Cliff(0, pytest.approx(SIZES[21]), pytest.approx(SIZES[19]), pytest.approx(0.55))
    later[20], later[21], later[22:] = 0.8, 0.65, 0.5  # over three: a slope
    assert first(later) is None
    small = 0.25 * level
    small[20:] = 0.0  # to nothing, but a quarter of the range and no more
    assert first(small) is None
    assert (KEPT, SHARE) == (0.5, 0.25)


def test_returns_of_any_sign_have_the_same_cliffs():
    rng = np.random.default_rng(1)
    heights = [planted(rng) if k % 3 == 0 else smooth(rng) for k in range(30)]
    runs = [[(k, a_line(h, shift=shift)) for k, h in enumerate(heights)] for shift in (0.0, -20.0, 20.0)]
    found = [[cliff.to_dict() for cliff in cliffs(run)] for run in runs]
    assert len(found[0]) > 8
    for other in found[1:]:
        assert [c["step"] for c in other] == [c["step"] for c in found[0]]
        assert other[0]["drop"] == pytest.approx(found[0][0]["drop"])
    worded = Cliff(40, 0.12, 0.1, 0.4).sentence()
    assert worded.startswith("Step 40: ")
    assert "40%" in worded


def test_figures_draw_what_there_is(tmp_path):
    scape, *_ = quadratic()
    maps = {f"step {k}": surface(scape.at({"w": (1 + k) * scape.params["w"]}), size=5) for k in range(4)}
    figure = contour_map(maps, what="regret")
    assert [axes.get_title("left") for axes in figure.axes[:4]] == list(maps)
    level = replace(maps["step 0"], loss=np.full((5, 5), -3.0))
    tower = replace(level, loss=np.where(np.arange(25).reshape(5, 5) == 0, 1e6, np.arange(25.0).reshape(5, 5)))
    lines = [(k, a_line(planted(np.random.default_rng(k)))) for k in range(5)] + [
        (9, Line(*np.zeros((2, 1)), None, 0))
    ]
    figures = (figure, contour_map({"": level}), contour_map({"": tower}), line_map(lines, cliffs(lines)))
    for i, made in enumerate(figures):
        made.savefig(tmp_path / f"{i}.png", dpi=50)
        assert (tmp_path / f"{i}.png").stat().st_size > 2000
    assert "by ratio" in contour_map({"": tower}).axes[-1].get_ylabel()
    for empty in (lambda: contour_map({}), lambda: line_map([])):
        with pytest.raises(tw.InputError, match="to draw"):
            empty()


def test_cliffs_are_hazards_on_the_time_axis(tmp_path):
    plain, found = a_chart(), (Cliff(50, 0.2, 0.1, 0.4), Cliff(500, 0.2, 0.1, 0.6))
    marked = replace(plain, hazards=found)
    attributes = {"settings": {}, "versions": {}, "hashes": {}, "checkpoints": 1, "complete": True}
    page = {"rows": [TableRow({"step": "0"}, "")], "attributes": attributes, "notes": [], "forecasts": []}
    without, within = (write(c, tmp_path / f"{i}.html", **page).read_text() for i, c in enumerate((plain, marked)))
    assert "hazard" not in without.lower().replace("chart.hazards", "")
    for cliff in found:
        assert f'aria-label="{cliff.sentence()}"' in within
        assert within.count(cliff.sentence()) >= 3  # at the triangle, in the list, under the pointer
    assert read(tmp_path / "1.html").outside == []
    texts = [draw(c, tmp_path / f"{i}.svg").read_text() for i, c in enumerate((plain, marked))]
    assert ["#b3122a" in text for text in texts] == [False, True]


WORLD = """
import torch
import thalweg as tw

def regret(p):
    return (1 - torch.softmax(p["logits"], -1)[:, 0]).mean()

policy = tw.potential(regret, {"logits": torch.zeros(3, 2)}, 50)
make = lambda: policy
number = 3
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("surfaces")
    (folder / "world_of_regret.py").write_text(WORLD)
    (folder / "run").mkdir()
    logits = torch.zeros(3, 2, requires_grad=True)
    for step in range(4):
        save_file({"logits": logits.detach()}, folder / "run" / f"p-{10 * step}.safetensors")
        (g,) = torch.autograd.grad((1 - logits.softmax(-1)[:, 0]).mean(), logits)
        logits = (logits - g).detach().requires_grad_()
    return folder


@pytest.fixture
def thalweg(place, monkeypatch, capsys):
    """The command line in this process: its exit code, what it prints, what it says."""

    def run(*words):
        monkeypatch.chdir(place)
        monkeypatch.setattr(sys, "argv", ["thalweg", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
        told = capsys.readouterr()
        return left.value.code or 0, told.out, told.err

    return run


def test_the_verb(thalweg, place):
    words = ("surface", "run", "--landscape", "world_of_regret.py:make", "--out", "pages/new.html", "--size", 5)
    code, out, err = thalweg(*words, "--json")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert set(document) == {"seconds", "html", "steps", "cliffs", "cliffs_per_100", "surfaces", "lines"}
    assert document["steps"] == [0, 10, 20, 30] == [found["step"] for found in document["lines"]]
    assert [found["step"] for found in document["surfaces"]] == [20, 30]  # at step 0 all logits are zero
    assert document["cliffs"] == []
    assert document["cliffs_per_100"] == 0
    assert np.array(document["surfaces"][0]["loss"]).shape == (5, 5)
    assert document["surfaces"][0]["x"] == document["surfaces"][0]["y"] == [-1, -0.5, 0, 0.5, 1]
    assert all(a > b for found in document["lines"] for a, b in pairwise(found["loss"]))
    page = read(place / document["html"])
    assert page.outside == []
    assert page.tags.count("svg") == 2
    assert "No map at step 0" in (place / "pages/new.html").read_text()
    again = json.loads(thalweg(*words, "--json")[1])
    assert {**again, "seconds": 0} == {**document, "seconds": 0}
    code, out, _ = thalweg(*words, "--step", 10, "--step", 30, "--seed", 1)
    assert code == 0
    assert "0 of 4 checkpoints stand before a cliff, 0 per 100." in out


BAD = {
    "no landscape": ([], "--landscape"),
    "only a model": (["--model", "world_of_regret.py:make"], "--data"),
    "a landscape and a model": (["--landscape", "w.py:policy", "--model", "w.py:m"], "leave --model out"),
    "what is no landscape": (["--landscape", "world_of_regret.py:number"], "is a int"),
    "no such name": (["--landscape", "world_of_regret.py:polcy"], "polcy"),
    "no such step": (["--landscape", "world_of_regret.py:policy", "--step", 15], "0, 10, 20, 30"),
    "no plane": (["--landscape", "world_of_regret.py:policy", "--step", 0], "every filter"),
    "even size": (["--landscape", "world_of_regret.py:policy", "--size", 6], "odd"),
    "no length": (["--landscape", "world_of_regret.py:policy", "--length", 0], "length"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(thalweg, place, case):
    words, named = BAD[case]
    code, out, err = thalweg("surface", "run", "--out", "bad.html", *words)
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert named in err
    assert not (place / "bad.html").exists()


def test_a_page_of_another_name_is_refused_before_anything_is_read(thalweg):
    code, _, err = thalweg("surface", "nowhere", "--landscape", "x.py:x", "--out", "page.txt")
    assert code == 2
    assert "must end in .html" in err


def test_a_survey_takes_a_landscape(thalweg, place):
    words = ["--landscape", "world_of_regret.py:policy", "--out", "out.zarr", "--chains", 2, "--draws", 300]
    words += ["--burn-in", 100, "--gamma", 5, "--step-size", 1e-2, "--sampler", "sgld", "--workers", 1]
    code, out, _ = thalweg("survey", "run", *words, "--json")
    assert code in (0, 1)
    assert json.loads(out)["steps"] == [0, 10, 20, 30]
    code, _, err = thalweg("survey", "run", *words, "--n", 7)
    assert code == 2
    assert "leave --n out" in err
    code, _, err = thalweg("survey", "run", "--out", "x.zarr", "--data", "w.py:d")
    assert code == 2
    assert "give --model, --loss" in err


def test_the_former_place_of_surfaces_says_where_they_are():
    with pytest.warns(DeprecationWarning, match=r"thalweg\.surfaces\.cliffs"):
        assert tw.rl.cliffs is cliffs
    with pytest.raises(AttributeError, match="cliff_edges"):
        _ = tw.rl.cliff_edges  # control
    sys.modules.pop("thalweg.rl.surfaces", None)
    with pytest.warns(DeprecationWarning, match=r"thalweg\.surfaces"):
        assert importlib.import_module("thalweg.rl.surfaces").line is line
