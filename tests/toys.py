"""One toy of each kind that others may add, as in a package of theirs. Not a test."""

import json
from math import sqrt
from pathlib import Path
from typing import Annotated, NamedTuple

import torch
from pydantic import BaseModel, Field
from torch import Tensor, nn

import thalweg as tw
from thalweg.agents import WorldKind
from thalweg.envs import Discrete, gridworld
from thalweg.estimators import Logged
from thalweg.recipes import Outcome, Recipe
from thalweg.samplers import Algorithm, Info


class State(NamedTuple):
    params: Tensor  # (R, D)
    noise: Tensor  # (R, D) of the step before


def step(state, draw, gradient, posterior, dial):
    """w' = w - (eps/2) grad U + sqrt(eps) (xi + xi')/2, exact on quadratics. Leimkuhler & Matthews 2013, eq. 3."""
    grad, loss = gradient(state.params)
    drift = -0.5 * dial.step_size * posterior.gradient(state.params, grad)
    noise = 0.5 * dial.step_size.sqrt() * (state.noise + draw.noise)
    return State(state.params + posterior.project(drift + noise), draw.noise), Info(loss, torch.ones_like(loss))


ALGORITHM = Algorithm(lambda params, *_: State(params.clone(), torch.zeros_like(params)), step, State)


def load(path, file, *, whole):
    """Weights as JSON."""
    told = json.load(file)
    return {name: torch.tensor(values) for name, values in told["weights"].items()}, {"step": told["step"]}


def write(weights, folder: Path, step: int) -> Path:
    folder.mkdir(exist_ok=True)
    told = {"step": step, "weights": {name: w.tolist() for name, w in weights.items()}}
    (folder / f"at-{step}.toy").write_text(json.dumps(told))
    return folder


def largest(scape, center, settings):
    return center.params.abs().max()


LARGEST = Logged("1", largest)


class Lever:
    """One step, two actions: the second pays 1."""

    actions, horizon, discount = Discrete(2), 1, 0.9

    def begin(self, seeds):
        return Pulls(torch.ones(len(seeds), 1))


class Pulls:
    def __init__(self, observations):
        self.observations = observations

    def step(self, actions):
        return actions.to(torch.float32), torch.ones(len(actions), dtype=torch.bool)

    def only(self, keep):
        return Pulls(self.observations[keep])


class Corridor(WorldKind):
    """`kind = "corridor"`: from S at one end to G at the other."""

    length: Annotated[int, Field(ge=2, le=1000)]

    def process(self):
        return gridworld(["S" + "." * (self.length - 2) + "G"], discount=self.discount)


class Sizes(BaseModel):
    draws: int


def study(sizes, out, seed, stages):
    """The coefficient of a bowl of two weights is 1."""
    stages.say("a bowl")
    bowl = tw.potential(lambda w: w["w"].square().sum(), {"w": torch.zeros(2)}, 1000)
    found = tw.estimate_llc(bowl, draws=sizes.draws, burn_in=100, seed=seed)
    html = out / "toy.html"
    html.write_text(f"<p>{found.raw}</p>")
    return Outcome({"llc": found.raw}, html, float(found.verdict != "healthy"))


RECIPE = Recipe("toy", "The coefficient of a bowl.", lambda: Sizes(draws=20_000), lambda: Sizes(draws=2000), study)


class RateNetwork(nn.Module):
    """A small brain: rates under tau dr/dt = -r + tanh(W r + U x), W on the synapses that there are."""

    def __init__(self, units=6, seen=2):
        super().__init__()
        g = torch.Generator().manual_seed(0)
        self.recurrent = nn.Parameter(torch.randn(units, units, generator=g) / sqrt(units))
        self.sensory = nn.Parameter(torch.randn(units, seen, generator=g))
        self.readout = nn.Linear(units, 1)
        self.register_buffer("synapses", (torch.rand(units, units, generator=g) < 0.5).float())
        with torch.no_grad():
            self.readout.weight.fill_(0.3)
            self.readout.bias.zero_()

    def forward(self, x):
        rates = torch.zeros(len(x), len(self.recurrent), dtype=x.dtype)
        for _ in range(4):
            drive = rates @ (self.recurrent * self.synapses).T + x @ self.sensory.T
            rates = rates + 0.5 * (torch.tanh(drive) - rates)
        return self.readout(rates)[:, 0]


def task():
    """What the network is asked, answered by itself and some noise."""
    g = torch.Generator().manual_seed(1)
    seen = torch.randn(40, 2, generator=g)
    with torch.no_grad():
        return seen, RateNetwork()(seen) + 0.1 * torch.randn(40, generator=g)
