"""What others add comes in by the same door as ours, and works to the end: one toy of each kind, see `toys`."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import test_sampler_laws as laws
import thalweg as tw
import toys
from thalweg import certificates
from thalweg.agents import WORLDS, Agent
from thalweg.checkpoints import LOADERS
from thalweg.cli import main
from thalweg.estimators import LOGGED, Logged
from thalweg.landscape import Landscape, Losses, measure
from thalweg.recipes import RECIPES, find
from thalweg.rl import sampled_landscape
from thalweg.samplers import ALGORITHMS

DOORS = {"samplers": ALGORITHMS, "loaders": LOADERS, "estimators": LOGGED, "worlds": WORLDS, "recipes": RECIPES}
OFFERED = {
    "samplers": {"toy": "toys:ALGORITHM"},
    "loaders": {".toy": "toys:load"},
    "estimators": {"largest": "toys:LARGEST"},
    "worlds": {"corridor": "toys:Corridor"},
    "recipes": {"toy": "toys:RECIPE"},
}
SHORT = {"sampler": "toy", "chains": 2, "burn_in": 50, "draws": 100, "gamma": 5.0, "step_size": 1e-3}


def install(folder: Path, offered, name="toys") -> Path:
    """A distribution as pip leaves it, whose modules lie beside the tests."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    groups = (
        f"[thalweg.{group}]\n" + "".join(f"{key} = {value}\n" for key, value in points.items())
        for group, points in offered.items()
    )
    (info / "entry_points.txt").write_text("\n".join(groups))
    return folder


@pytest.fixture(autouse=True)
def doors(monkeypatch):
    """Doors as at the start of a process; afterwards too."""

    def fresh():
        for door in DOORS.values():
            vars(door).pop("_points", None)

    for door in DOORS.values():
        monkeypatch.setattr(door, "registered", {})
        monkeypatch.setattr(door, "_loaded", {})
    fresh()
    yield
    fresh()


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Toys in a distribution that this process sees."""
    monkeypatch.syspath_prepend(str(install(tmp_path / "site", OFFERED)))


def test_without_the_distribution_there_is_none_of_it():  # negative control
    for group, door in DOORS.items():
        assert list(door) == list(door.ours)
        assert not set(OFFERED[group]) & set(door)


@pytest.mark.usefixtures("installed")
def test_what_is_offered_is_found_and_imported_when_it_is_asked_for():
    for group, door in DOORS.items():
        (name,) = OFFERED[group]
        assert list(door) == [*door.ours, name]
        assert not door._loaded
        assert door[name] is getattr(toys, OFFERED[group][name].partition(":")[2])
        assert door._loaded


TOY = laws.Law(toys.ALGORITHM, lambda state: laws.EXACT, (laws.D - 2) / 2)


def test_a_sampler_passes_the_table_of_laws():
    laws.check_law(TOY, 0)
    laws.check_the_law_can_fail(TOY)
    laws.check_a_fresh_start(TOY)
    laws.check_closed_directions(TOY)


@pytest.mark.usefixtures("installed")
def test_a_sampler_estimates():
    stiff = torch.tensor([1.0, 2.0])
    bowl = tw.potential(lambda w: 0.5 * (stiff * w["w"].square()).sum(), {"w": torch.zeros(2)}, 1000)
    found = tw.estimate_llc(bowl, sampler="toy", nbeta=100.0, gamma=50.0, step_size=5e-3, chains=16, draws=2000)
    assert found.value == pytest.approx((0.5 * 100 * stiff / (100 * stiff + 50)).sum().item(), abs=4 * found.stderr)
    assert found.settings["sampler"] == "toy"
    with pytest.raises(tw.InputError, match=r"sampler = 'tpy': input should be 'sgld', .* or 'toy': is it 'toy'\?"):
        tw.Settings(sampler="tpy")


def test_what_is_registered_reaches_the_workers_and_the_identity_of_a_survey(tmp_path):
    ALGORITHMS.register("toy", toys.ALGORITHM)
    LOADERS.register(".toy", toys.load)
    LOGGED.register("largest", toys.LARGEST)
    module = toys.RateNetwork()
    for step in (3, 1):
        toys.write(module.state_dict(), tmp_path / "run", step)
    series = tw.checkpoints(tmp_path / "run")
    assert series.steps == [1, 3]
    assert torch.equal(series.items[0].load()["recurrent"], module.recurrent)
    scape = tw.landscape(module, toys.task(), "mse")
    many = {**SHORT, "chains": 10}  # of two chunks, so that there are two workers
    found = tw.survey(scape, series, tmp_path / "two.zarr", workers=2, logged="largest", **many)
    largest = max(w.abs().max().item() for w in module.parameters())
    assert found.column("largest") == pytest.approx([largest, largest])
    assert found.logged[-1] == "largest"
    assert found.to_dict()["largest"] == pytest.approx([largest, largest])
    assert ">largest<" in tw.atlas(found, tmp_path / "page.html").read_text()

    def one(scape, center, settings):
        return 1.0

    LOGGED.register("largest", Logged("1", one), over=True)
    other = tw.survey(scape, series, tmp_path / "two.zarr", workers=1, logged="largest", **many)
    assert other.column("largest").tolist() == [1.0, 1.0]  # another measure is another number, not what was kept
    LOGGED.register("largest", Logged("1", lambda scape, center, settings: 2.0), over=True)
    with pytest.raises(tw.InputError, match=r"logged largest .*lambda.* its source does not identify it"):
        tw.survey(scape, series, tmp_path / "two.zarr", workers=1, logged="largest", **many)


def test_an_environment_gives_a_landscape():
    policy = nn.Linear(1, 2, bias=False)
    for pull, loss in ((40.0, -1.0), (-40.0, 0.0)):
        with torch.no_grad():
            policy.weight.copy_(torch.tensor([[0.0], [pull]]))
        scape = sampled_landscape(policy, toys.Lever(), 8, n=100)
        assert measure(scape).losses.tolist() == [loss] * 8


AGENT = '[world]\nkind = "corridor"\ndiscount = 0.5\nlength = 4\n[values]\ncells = { G = 1.0 }\n'


@pytest.mark.usefixtures("installed")
def test_a_kind_of_world_is_read_from_an_agent_file(tmp_path):
    alice, bob = tmp_path / "alice.toml", tmp_path / "bob.toml"
    alice.write_text(AGENT)
    bob.write_text('policy = "optimal"\n[values]\ncells = { G = 2.0 }\n')
    hers, his = certificates.read_agents(alice, bob)
    assert hers.mdp.same(toys.Corridor(kind="corridor", discount=0.5, length=4).process().mdp)
    assert certificates.certify_agents(hers, his).bound == pytest.approx(0, abs=1e-6)
    for was, told, line in (
        ("corridor", "coridor", "world.kind 'coridor': is it 'corridor'?"),
        ("length", "size", "world.length: Field required"),
        ("length = 4", "length = 4\nslip = 0.1", "world.slip: nobody reads it: there are kind, discount, length"),
        ("length = 4", "length = 1", "world.length 1: give a number at least 2"),
        ("0.5", "1.5", "world.discount 1.5: give a number below 1"),
    ):
        alice.write_text(AGENT.replace(was, told))
        with pytest.raises(tw.InputError) as raised:
            Agent(alice)
        assert str(raised.value) == f"{alice}: {line}"


def thalweg(*words, cwd):
    path = [str(cwd / "site"), *(str(Path(__file__).parents[1] / folder) for folder in ("src", "tests"))]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path!r}; from thalweg.cli import main; main()", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.mark.usefixtures("installed")
def test_a_recipe_is_listed_and_runs_by_the_command_line(tmp_path, monkeypatch, capfd):
    told = []
    for words in (["list"], ["run", "toy", "--tiny", "--out", str(tmp_path / "toy")]):
        monkeypatch.setattr(sys, "argv", ["thalweg", "recipe", *words, "--json"])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0
        told.append(json.loads(capfd.readouterr().out))
    assert told[0][-1] == {"recipe": "toy", "summary": "The coefficient of a bowl."}
    assert [one["recipe"] for one in told[0][:-1]] == list(RECIPES.ours)
    assert told[1]["results"] == toys.RECIPE.study(tmp_path / "again", tiny=True, seed=0)["results"]
    assert Path(told[1]["html"]).is_file()
    assert find("toy") is toys.RECIPE
    with pytest.raises(tw.InputError, match=r"unknown recipe 'tooy': is it 'toy'\?"):
        find("tooy")


def test_a_brain_is_surveyed_by_the_command_line(tmp_path):
    install(tmp_path / "site", OFFERED)
    toys.write(toys.RateNetwork().state_dict(), tmp_path / "run", 1)
    file = Path(toys.__file__)
    parts = {"model": f"{file}:RateNetwork", "data": f"{file}:task", "loss": "mse", "log": "largest", "out": "o.zarr"}
    given = parts | {name.replace("_", "-"): str(value) for name, value in SHORT.items()}
    words = [word for name, value in given.items() for word in (f"--{name}", value)]
    document = thalweg("survey", "run", *words, "--workers", "1", "--json", cwd=tmp_path)
    assert document["steps"] == [1]
    assert document["sampler"] == ["toy"]
    assert document["largest"][0] > 0


BROKEN = {
    "sgld": ("toys:ALGORITHM", "sampler 'sgld' is given by thalweg and by others 1.0: leave one of them out"),
    "gone": ("no_such_module:it", "sampler 'gone' of others 1.0 failed: ModuleNotFoundError: No module named"),
    "hollow": ("toys:nothing", "sampler 'hollow' of others 1.0 failed: AttributeError: "),
    "odd": ("toys:load", "sampler 'odd' of others 1.0 is a function: give an Algorithm of thalweg.samplers"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_plug_in_that_cannot_be_had_is_named_with_its_distribution(name, tmp_path, monkeypatch):
    value, line = BROKEN[name]
    monkeypatch.syspath_prepend(str(install(tmp_path, {"samplers": {name: value}}, "others")))
    bowl = tw.potential(lambda w: w["w"].square().sum(), {"w": torch.zeros(2)}, 1000)
    with pytest.raises(tw.InputError) as raised:
        tw.estimate_llc(bowl, sampler=name)
    assert str(raised.value).startswith(line)
    assert tw.Settings(sampler="hmc").exact  # the others are as they were


def test_a_name_is_taken_once():
    ALGORITHMS.register("toy", toys.ALGORITHM)
    for name in ("toy", "hmc"):
        with pytest.raises(tw.InputError, match=f"sampler '{name}' is there already"):
            ALGORITHMS.register(name, toys.ALGORITHM)
    ALGORITHMS.register("toy", toys.ALGORITHM, over=True)
    with pytest.raises(tw.InputError, match="sampler 'hmc' is there already"):
        ALGORITHMS.register("hmc", toys.ALGORITHM, over=True)


def test_a_loader_is_held_to_what_ours_are_held_to(tmp_path):
    path = tmp_path / "at-1.toy"
    path.write_text("{}")
    for gives, line in (
        (lambda path, file, *, whole: 1 / 0, "cannot be read as .toy (division by zero)"),
        (lambda path, file, *, whole: ({"w": 3}, {}), "the loader of .toy does not give tensors and values by name"),
        (lambda path, file, *, whole: ({}, {}), "holds no tensors"),
        (lambda path, file, *, whole: ({"w": torch.zeros(1).expand(10**8)}, {}), "unpacks to"),
    ):
        LOADERS.register(".toy", gives, over=True)
        with pytest.raises(tw.InputError, match=r"at-1\.toy") as raised:
            tw.checkpoints(tmp_path)
        assert line in str(raised.value)


def test_a_quantity_that_fails_or_takes_the_name_of_a_column_is_named(run_folder, net_landscape, tmp_path):
    LOGGED.register("llc", toys.LARGEST)

    def nothing(scape, center, settings):
        return None

    LOGGED.register("lost", Logged("1", nothing))  # pyright: ignore[reportArgumentType]
    settings = {**SHORT, "sampler": "sgld", "workers": 1}
    for name, line in (("llc", "the store has a column of that name"), ("lost", "logged lost failed: TypeError")):
        with pytest.raises(tw.InputError, match=line):
            tw.survey(net_landscape, run_folder, tmp_path / name, logged=name, **settings)


def test_losses_say_what_they_can(net_landscape):
    class Bowl(Losses):
        own_gradients = True

        def __call__(self, params, frozen, inputs, targets):
            return params["w"].square().sum().reshape(1)

        def gradients(self, params):
            return 2 * params, params.square().sum(1)

        def doubt(self, scape, gradient):
            return "it is a toy"

    bowl = tw.potential(lambda w: w["w"].square().sum(), {"w": torch.zeros(2)}, 1000)
    fields = {**vars(bowl), "losses": Bowl()}
    one, own = (tw.estimate_llc(x, chains=4, draws=500, burn_in=100) for x in (bowl, Landscape(**fields)))
    assert own.raw == pytest.approx(one.raw, rel=1e-4)
    assert own.reasons[0] == "it is a toy"
    with pytest.raises(tw.InputError, match="losses are a function: make it by"):
        Landscape(**{**vars(net_landscape), "losses": lambda *_: torch.zeros(1)})
