"""Surveys on disk: resumed after kill -9, keyed by content, the same bits however they are run."""

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import xarray as xr
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import thalweg as tw
from conftest import Net, classes, write_run
from thalweg.samplers import BLOCK
from thalweg.survey._moments import include, variance
from thalweg.survey._work import Worker

SETTINGS = {"chains": 4, "burn_in": 60, "draws": 200, "batch_size": 32, "gamma": 5.0, "step_size": 1e-3}


def net_landscape(loss=F.cross_entropy, data=None):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return tw.landscape(Net(), data or classes(), loss)


def arrays(survey):
    """Every stored number of a survey."""
    out = {name: survey.table[name].values for name in survey.table.variables}
    for step in survey.column("step"):
        trace = survey.traces(int(step))
        out |= {f"{step} {name}": trace[name].values for name in ("loss", "excess", "burn_in_loss", "burn_in_excess")}
    return out


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k], equal_nan=a[k].dtype.kind == "f") for k in a)


def test_a_survey_is_what_single_estimates_are(run_folder, tmp_path):
    series = tw.checkpoints(run_folder)
    survey = tw.survey(net_landscape(), series, tmp_path / "s.zarr", test_data=classes(seed=9), workers=1, **SETTINGS)
    assert survey.complete
    assert len(survey) == 6
    frame = survey.to_dataframe()
    assert frame["step"].tolist() == [0, 10, 20, 30, 40, 50]
    assert (frame["llc_raw"] > 0).any()
    assert frame["train_loss"].is_monotonic_decreasing
    net = Net()
    net.load_state_dict(load_file(run_folder / "step-30.safetensors"))
    inputs, targets = classes(seed=9)
    assert np.isclose(frame["test_loss"][3], F.cross_entropy(net(inputs), targets).item())
    assert np.isclose(frame["weight_norm"][3], torch.cat([w.flatten() for w in net.parameters()]).norm().item())
    nbeta = 200 / np.log(200)
    for i, step in enumerate(frame["step"]):
        assert np.isclose(frame["llc_raw"][i], nbeta * survey.traces(step)["excess"].values.mean(dtype=np.float64))


def test_workers_and_order_change_no_bit(run_folder, tmp_path):
    """Two processes, one process, and each checkpoint in a survey of its own: the same numbers."""
    series = tw.checkpoints(run_folder)
    one = tw.survey(net_landscape(), series, tmp_path / "one.zarr", workers=1, **SETTINGS)
    two = tw.survey(net_landscape(), series, tmp_path / "two.zarr", workers=2, **SETTINGS)
    assert same(arrays(one), arrays(two))
    for i in (0, 5):
        alone = tw.survey(net_landscape(), series[i : i + 1], tmp_path / f"{i}.zarr", workers=1, **SETTINGS)
        step = int(alone.column("step")[0])
        assert np.array_equal(alone.traces(step)["loss"].values, one.traces(step)["loss"].values)
    other = tw.survey(net_landscape(), series[:1], tmp_path / "seed.zarr", workers=1, seed=1, **SETTINGS)
    assert not np.array_equal(other.traces(0)["loss"].values, one.traces(0)["loss"].values)  # control


def test_the_store_is_a_datatree_that_xarray_opens(run_folder, tmp_path):
    survey = tw.survey(net_landscape(), tw.checkpoints(run_folder), tmp_path / "s.zarr", workers=1, **SETTINGS)
    tree = xr.open_datatree(survey.path, engine="zarr", consolidated=False)
    assert len(tree["shards"].children) == 2  # 4 checkpoints and 2
    shard = next(iter(tree["shards"].children.values()))
    assert set(shard["loss"].dims) == {"checkpoint", "chain", "draw"}
    assert len(tree["tables"].children) == 1
    assert {"settings", "versions", "hashes"} <= set(survey.attributes)
    files = sum(1 for p in survey.path.rglob("*") if p.is_file())
    assert files < 120
    assert not (survey.path / ".partial").exists()


@pytest.mark.parametrize("change", ["nothing", "weight", "data", "loss", "settings", "buffer of the loss"])
def test_what_changed_is_computed_again_and_nothing_else(run_folder, tmp_path, change, monkeypatch):
    moved = []
    move = Worker.move

    def counted(self, chunk, state):
        moved.append(chunk)
        return move(self, chunk, state)

    monkeypatch.setattr(Worker, "move", counted)
    out, series = tmp_path / "s.zarr", tw.checkpoints(run_folder)
    tw.survey(net_landscape(), series, out, workers=1, **SETTINGS)
    each = len(moved) // 2
    moved.clear()
    scape, settings = net_landscape(), SETTINGS
    if change == "weight":
        place = run_folder / "step-50.safetensors"
        state = load_file(place)
        state["layers.0.bias"][0] += 1e-6
        save_file(state, place, {"step": "50"})
    elif change == "data":
        inputs, targets = classes()
        inputs[0, 0] += 1e-6
        scape = net_landscape(data=(inputs, targets))
    elif change == "loss":
        scape = net_landscape(loss=torch.nn.CrossEntropyLoss(label_smoothing=0.1))
    elif change == "settings":
        settings = {**SETTINGS, "gamma": 5.5}
    elif change == "buffer of the loss":
        scape = net_landscape(loss=torch.nn.CrossEntropyLoss(weight=torch.tensor([1.0, 1.0, 2.0])))
    survey = tw.survey(scape, tw.checkpoints(run_folder), out, workers=1, **settings)
    assert len(moved) == {"nothing": 0, "weight": each}.get(change, 2 * each)
    assert survey.complete
    assert len(survey) == 6


class Scaled(Net):
    def __init__(self, scale):
        super().__init__()
        self.scale = scale  # neither weight nor buffer nor source

    def forward(self, x):
        return self.scale * super().forward(x)


def test_what_no_source_shows_is_seen_by_what_it_does(run_folder, tmp_path):
    series, out = tw.checkpoints(run_folder)[:2], tmp_path / "s.zarr"
    seen = []
    for scale in (1.0, 3.0):
        scape = tw.landscape(Scaled(scale), classes(), F.cross_entropy)
        seen.append(tw.survey(scape, series, out, workers=1, **SETTINGS).column("train_loss"))
    assert not np.allclose(*seen)


def test_data_that_fail_late_leave_nothing_behind(run_folder, tmp_path):
    inputs, targets = classes()
    targets[150] = 7
    out = tmp_path / "s.zarr"
    with pytest.raises(tw.InputError, match="Target 7"):
        tw.survey(net_landscape(data=(inputs, targets)), tw.checkpoints(run_folder), out, workers=1, **SETTINGS)
    with pytest.raises(tw.InputError, match="test data"):
        tw.survey(net_landscape(), run_folder, out, test_data=(inputs, targets), workers=1, **SETTINGS)
    assert not out.exists()


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import thalweg as tw
from test_survey import LONG, net_landscape
tw.survey(net_landscape(), tw.checkpoints({run!r}), {out!r}, workers=1, **LONG)
"""
LONG = {"chains": 4, "burn_in": 300, "draws": 2200, "batch_size": 64, "gamma": 5.0, "step_size": 1e-3}


def test_killed_in_the_middle_it_goes_on_and_ends_with_the_same_bits(tmp_path, monkeypatch):
    run, out = write_run(tmp_path / "run", count=24), tmp_path / "killed.zarr"
    script = SCRIPT.format(tests=str(Path(__file__).parent), run=str(run), out=str(out))
    process = subprocess.Popen([sys.executable, "-c", script], start_new_session=True)
    deadline = time.monotonic() + 120
    while True:
        assert process.poll() is None
        assert time.monotonic() < deadline
        os.killpg(process.pid, signal.SIGSTOP)  # what is looked at must not move on
        finished = {p.parent.name: p.stat().st_mtime_ns for p in out.glob("shards/*/zarr.json")}
        under_way = [s for s in out.glob(".partial/*.safetensors") if s.name.rsplit("-", 1)[0] not in finished]
        if len(finished) >= 2 and under_way:
            break
        os.killpg(process.pid, signal.SIGCONT)
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()

    assert len(finished) < 6
    assert not tw.open_survey(out).complete
    kept = 0
    for state in under_way:
        with safe_open(state, framework="pt") as file:
            kept += int(file.metadata()["step"])
    assert 0 < kept <= LONG["burn_in"] + LONG["draws"]

    steps = []
    move = Worker.move

    def counted(self, chunk, state):
        after, block, losses = move(self, chunk, state)
        steps.append(after.step - state.step)
        return after, block, losses

    monkeypatch.setattr(Worker, "move", counted)
    resumed = tw.survey(net_landscape(), tw.checkpoints(run), out, workers=1, **LONG)
    total = (6 - len(finished)) * (LONG["burn_in"] + LONG["draws"])
    assert sum(steps) == total - kept  # nothing is done twice but the block that was being done
    assert max(steps) == BLOCK
    for key, when in finished.items():
        assert (out / "shards" / key / "zarr.json").stat().st_mtime_ns == when
    whole = tw.survey(net_landscape(), tw.checkpoints(run), tmp_path / "whole.zarr", workers=2, **LONG)
    assert same(arrays(resumed), arrays(whole))


def test_what_cannot_be_identified_needs_a_name(run_folder, tmp_path):
    def closure(outputs, targets):
        return F.cross_entropy(outputs, targets, reduction="none") * weight

    weight = 1.0
    series, out = tw.checkpoints(run_folder), tmp_path / "s.zarr"
    with pytest.raises(tw.InputError, match="name="):
        tw.survey(net_landscape(loss=closure), series, out, **SETTINGS)
    assert not out.exists()
    named = tw.landscape(Net(), classes(), closure, name="weighted once")
    assert tw.survey(named, series[:2], out, workers=1, **SETTINGS).complete


def test_one_writer_at_a_time_and_no_folder_of_others(run_folder, tmp_path):
    series, out = tw.checkpoints(run_folder), tmp_path / "s.zarr"
    survey = tw.survey(net_landscape(), series, out, workers=1, **SETTINGS)
    with survey.store.writing(), pytest.raises(tw.InputError, match="another process"):
        tw.survey(net_landscape(), series, out, workers=1, **SETTINGS)
    other = tmp_path / "thesis"
    other.mkdir()
    (other / "chapter.tex").write_text("x")
    with pytest.raises(tw.InputError, match="something else"):
        tw.survey(net_landscape(), series, other, workers=1, **SETTINGS)
    assert [p.name for p in other.iterdir()] == ["chapter.tex"]


def test_too_little_memory_is_said_before_anything_is_written(run_folder, tmp_path):
    with pytest.raises(tw.InputError, match="memory"):
        tw.survey(net_landscape(), tw.checkpoints(run_folder), tmp_path / "s.zarr", memory=1 << 20, **SETTINGS)
    assert not (tmp_path / "s.zarr").exists()


def test_nothing_set_is_surveyed_the_same_by_one_and_by_two_and_drawn(run_folder, tmp_path):
    landscape = net_landscape().restrict(orthogonal_to_gradient=True)
    series = tw.checkpoints(run_folder)[:3]
    changes = {"gamma": 50.0, "budget": 400, "chains": 16}
    one = tw.survey(landscape, series, tmp_path / "one.zarr", workers=1, test_data=classes(seed=1), **changes)
    two = tw.survey(landscape, series, tmp_path / "two.zarr", workers=2, test_data=classes(seed=1), **changes)
    assert same(arrays(one), arrays(two))
    alone = tw.estimate_llc(landscape.at(series.items[0].load()), **changes)
    assert series.items[0].step == 0
    assert one.column("llc")[0] == alone.raw
    assert one.settings[0]["sampler"] == "hmc"
    assert one.settings[0] == alone.settings
    assert one.choices[0] == list(alone.choices)
    assert one.to_dict()["gamma"] == [50.0] * 3
    assert set(one.to_dataframe()["sampler"]) == {"hmc"}
    page = tw.atlas(one, tmp_path / "one.html").read_text()
    assert "HMC" in page
    assert "γ = 50" in page
    tw.plot(one, tmp_path / "one.pdf")


def test_seconds_are_counted_once_and_the_survey_goes_on_with_that_count(run_folder, tmp_path):
    series = tw.checkpoints(run_folder)[:2]
    changes = {"gamma": 50.0, "seconds": 0.3, "chains": 16, "workers": 1}
    first = tw.survey(net_landscape(), series[:1], tmp_path / "s.zarr", **changes)
    later = tw.survey(net_landscape(), series, tmp_path / "s.zarr", **changes)
    assert later.attributes["settings"]["budget"] == first.attributes["settings"]["budget"]
    assert later.attributes["shards"][0] == first.attributes["shards"][0]
    other = tw.survey(net_landscape(), series[:1], tmp_path / "s.zarr", **changes | {"seconds": 0.6})
    assert other.attributes["shards"] != first.attributes["shards"]


LOGGED = ("log_determinant", "functional_variance")


def test_what_is_logged_stands_beside_and_changes_no_other_bit(run_folder, tmp_path):
    series = tw.checkpoints(run_folder)
    plain = tw.survey(net_landscape(), series, tmp_path / "plain.zarr", workers=1, **SETTINGS)
    logged = tw.survey(net_landscape(), series, tmp_path / "logged.zarr", workers=1, logged=LOGGED, **SETTINGS)
    one, two = arrays(plain), arrays(logged)
    assert set(two) - set(one) == set(LOGGED)
    assert same(one, {name: two[name] for name in one})
    assert set(plain.attributes["shards"]).isdisjoint(logged.attributes["shards"])
    assert set(LOGGED) <= set(logged.to_dataframe().columns)
    assert set(LOGGED) <= set(logged.to_dict())
    assert not set(LOGGED) & set(plain.to_dict())
    both = tw.survey(net_landscape(), series, tmp_path / "two.zarr", workers=2, logged=LOGGED, **SETTINGS)
    assert same(arrays(both), two)


def test_the_functional_variance_is_that_of_posterior_losses(run_folder, tmp_path):
    series = tw.checkpoints(run_folder)[-1:]
    settings = {**SETTINGS, "draws": 1920, "chains": 16, "batch_size": 200}
    read = tw.survey(net_landscape(), series, tmp_path / "s.zarr", workers=1, logged=LOGGED[1:], **settings)
    losses, _ = tw.posterior_losses(net_landscape().at(series.items[0].load()), every=20, **settings)
    whole = losses.reshape(-1, losses.shape[-1]).var(0, ddof=1).sum()
    halves = [losses[i::4].reshape(-1, losses.shape[-1]).var(0, ddof=1).sum() for i in range(4)]
    error = np.std(halves, ddof=1) / 2
    assert abs(read.column("functional_variance")[0] - whole) < 4 * np.hypot(error, 2 * error) + 0.02 * whole


def test_a_survey_that_was_stopped_logs_the_same(run_folder, tmp_path, monkeypatch):
    series = tw.checkpoints(run_folder)[:2]
    settings = {**SETTINGS, "draws": 600}
    whole = tw.survey(net_landscape(), series, tmp_path / "whole.zarr", workers=1, logged=LOGGED, **settings)
    move, calls = Worker.move, []

    def dying(self, chunk, state):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return move(self, chunk, state)

    monkeypatch.setattr(Worker, "move", dying)
    with pytest.raises(KeyboardInterrupt):
        tw.survey(net_landscape(), series, tmp_path / "cut.zarr", workers=1, logged=LOGGED, **settings)
    monkeypatch.setattr(Worker, "move", move)
    cut = tw.survey(net_landscape(), series, tmp_path / "cut.zarr", workers=1, logged=LOGGED, **settings)
    assert same(arrays(cut), arrays(whole))


def test_moments_are_those_of_all_draws_at_once():
    draws = torch.randn(4, 9, 6, generator=torch.Generator().manual_seed(0)).double()  # replicas, draws, samples
    draws = 1e6 + draws + torch.arange(4).reshape(4, 1, 1)  # chains disagree
    found = None
    for draw in draws.unbind(1):
        found = include(found, draw)
    torch.testing.assert_close(variance(found), draws.flatten(0, 1).var(0), rtol=1e-9, atol=0)
    within = draws.var(1).mean(0)
    assert not torch.allclose(variance(found), within, rtol=0.2)  # it can fail: chains each about its own mean
    assert variance(include(None, draws[:1, 0])).isnan().all()


def test_how_names_are_given_changes_no_key(run_folder, tmp_path):
    series = tw.checkpoints(run_folder)[:1]
    keys = []
    for i, names in enumerate((LOGGED, LOGGED[::-1], [*LOGGED, LOGGED[0]], LOGGED[0], LOGGED[:1])):
        read = tw.survey(net_landscape(), series, tmp_path / f"{i}.zarr", workers=1, logged=names, **SETTINGS)
        keys.append(tuple(read.attributes["shards"]))
    assert len(set(keys[:3])) == len(set(keys[3:])) == 1
    assert keys[0] != keys[3]


def test_a_potential_has_no_functional_variance_but_a_log_determinant(tmp_path):
    (tmp_path / "run").mkdir()
    save_file({"w": torch.zeros(3)}, tmp_path / "run" / "step-0.safetensors", {"step": "0"})
    stiff = torch.tensor([1.0, 2.0, 3.0])
    scape = tw.potential(lambda p: 0.5 * (stiff * p["w"].square()).sum(), {"w": torch.zeros(3)}, 100, name="bowl")
    settings = {"chains": 2, "burn_in": 100, "draws": 200, "gamma": 5.0, "nbeta": 20.0, "step_size": 1e-2}
    with pytest.raises(tw.InputError, match="no samples"):
        tw.survey(scape, tmp_path / "run", tmp_path / "s.zarr", workers=1, logged=LOGGED, **settings)
    assert not (tmp_path / "s.zarr").exists()
    read = tw.survey(scape, tmp_path / "run", tmp_path / "s.zarr", workers=1, logged=LOGGED[:1], **settings)
    assert read.column("log_determinant")[0] == pytest.approx(torch.log1p(20 / 5 * stiff).sum().item(), rel=1e-5)


@pytest.mark.parametrize(
    ("logged", "settings", "message"),
    [
        (("entropy",), SETTINGS, "there are log_determinant, functional_variance"),
        (LOGGED, {}, "give tw.Settings"),
        (LOGGED[:1], {**SETTINGS, "gamma": 0.0}, "gamma above 0"),
    ],
)
def test_what_cannot_be_logged_is_refused(run_folder, tmp_path, logged, settings, message):
    with pytest.raises(tw.InputError, match=message):
        tw.survey(net_landscape(), run_folder, tmp_path / "s.zarr", logged=logged, workers=1, **settings)
    assert not (tmp_path / "s.zarr").exists()


def test_forecasts_of_a_survey(run_folder, tmp_path):
    series = tw.checkpoints(run_folder)
    settings = {**SETTINGS, "draws": 1000, "gamma": 100.0}
    read = tw.survey(net_landscape(), series, tmp_path / "s.zarr", test_data=classes(seed=9), workers=1, **settings)
    found = read.forecasts()
    healthy = read.column("step")[read.healthy].tolist()
    assert [(f.start, f.end) for f in found] == list(pairwise(healthy))
    assert read.to_dict()["forecasts"] == [f.to_dict() for f in found]
    bare = tw.survey(net_landscape(), series, tmp_path / "bare.zarr", workers=1, **settings)
    assert bare.forecasts() == []
