"""All chains of one checkpoint under way: moved together, counted, and judged until the error is small."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from thalweg.estimators.adaptation.auto import Auto
from thalweg.estimators.diagnostics import ESS_CUT, Health, diagnose
from thalweg.landscape import Center
from thalweg.samplers import Block, Chunk, Engine, Settings, State, bracket, chunks, move, start, wide_of, width
from thalweg.types import Verdict

CUTS = (0.5, 0.6)  # shares of the draws that may be burn-in; chains start at w*, and less reads low
PATIENCE = 3  # looks in a row that find w* to be no minimum; more draws would not change that

Tick = Callable[[float], None]  # gradients that a chain has taken, since the last tick


@dataclass(frozen=True, eq=False)
class Task:
    """One checkpoint to estimate.

    Attributes:
        engine: of its landscape.
        auto: resolved.
        center: the checkpoint.
        step: its training step; names the streams.
        tick: told of the gradients spent.
    """

    engine: Engine
    auto: Auto
    center: Center
    step: int
    tick: Tick


@dataclass(eq=False)
class Course:
    """All chains of one checkpoint under way.

    Attributes:
        engine: of the landscape.
        settings: resolved; changed while they become known, fixed while draws are taken.
        parts: chunks with their states.
        tick: told of what is spent.
        purpose: names the streams of the draws, beside the sampler.
        spent: gradients of the full data that each chain has taken; a batch counts by its share.
        seen: what counts or may count, from the start of the draws.
    """

    engine: Engine
    settings: Settings
    parts: list[tuple[Chunk, State]]
    tick: Tick
    purpose: str = ""
    spent: float = 0.0
    seen: list[Block] = field(default_factory=list)

    @classmethod
    def begin(cls, task: Task, **given: Any) -> "Course":
        """Every chain at w*, with what a way of sampling gives the settings."""
        settings = task.auto.settings(**given).resolve(task.engine.scape.n)
        wide = width(task.engine.scape)
        rows = -(-settings.chains // wide) * wide if wide > 1 else 1
        cut = chunks([task.center], [task.step], settings.chains, rows)
        return cls(task.engine, settings, [(chunk, start(chunk)) for chunk in cut], task.tick)

    def take(self, count: int, purpose: str | None = None) -> Block:
        """Move all chains by `count` steps."""
        moved = [
            move(self.engine, self.settings, chunk, state, state.step + count, purpose=purpose)
            for chunk, state in self.parts
        ]
        self.parts = [(chunk, state) for (chunk, _), (state, _) in zip(self.parts, moved, strict=True)]
        self.count(count * self.cost)
        return Block.join([block for _, block in moved], axis=0)

    def count(self, gradients: float) -> None:
        """Take note of gradients of the full data that each chain has taken, in the mean."""
        self.spent += gradients
        self.tick(gradients)

    def bracket(self) -> None:
        """Start every second chain wide; afterwards all carry their weights alone."""
        for i, (chunk, state) in enumerate(self.parts):
            state, taken = bracket(self.engine, self.settings, chunk, state)
            self.parts[i] = chunk, state
            self.count(taken * len(chunk.names) / self.settings.chains)

    def draw(self, count: int) -> None:
        """Take steps that may count."""
        self.seen = [Block.join([*self.seen, self.take(count, self.settings.sampler + self.purpose)])]

    @property
    def drawn(self) -> int:
        """Steps of each chain that may count."""
        return sum(block.loss.shape[1] for block in self.seen)

    @property
    def cost(self) -> float:
        """Gradients of the full data in a step."""
        if self.settings.exact:
            return self.settings.gradients
        data = self.engine.scape.data
        share = 1.0 if data is None else min(1.0, self.settings.batch_size / len(data))
        return self.settings.gradients * share * (2 if self.settings.control_variates else 1)

    def change(self, **changes: object) -> None:
        """Other settings from here on."""
        self.settings = self.settings.model_copy(update=changes)

    def begin_draws(self) -> None:
        """Number steps from zero; the streams of the draws have another name than those before."""
        self.parts = [(chunk, State(state.carried, 0)) for chunk, state in self.parts]

    def judge(self) -> tuple[Health, int]:
        """Health after the shortest burn-in that leaves stationary draws, or the longest tried; and its length."""
        excess, slope = (x.double().cpu().numpy() for x in (self.seen[0].excess, self.seen[0].slope))
        wide = wide_of(self.settings)
        tried = []
        for cut in (int(share * excess.shape[1]) for share in CUTS):
            tried.append((diagnose(excess[:, cut:], excess[:, :cut], slope[:, cut:], wide=wide), cut))
            if tried[-1][0].verdict is Verdict.HEALTHY:
                break
        return tried[-1]


def sample(
    courses: Sequence[Course],
    judge: Callable[[list[tuple[Health, int]]], tuple[Health, int]],
    first: int,
    rtol: float,
    budget: float,
    better: Callable[[Health], bool] = lambda _: False,
) -> tuple[Health, int]:
    """Draw until the relative error is below `rtol` and nothing speaks against it, or the budget is spent.

    Args:
        courses: that are drawn together.
        judge: what their healths and burn-ins say together.
        first: draws before the first look.
        rtol: relative standard error.
        budget: gradients of each chain, with what is spent.
        better: changes how the courses move, where what was seen asks for it; draws then begin anew.

    Returns:
        Health, and how many of the draws are burn-in.
    """
    lead, count, below = courses[0], first, 0
    while True:
        for course in courses:
            course.draw(count)
        health, cut = judge([course.judge() for course in courses])
        wanted = rtol * abs(health.mean)
        left = int((budget - lead.spent) / lead.cost)
        done = health.verdict is Verdict.HEALTHY and health.stderr <= wanted
        below = below + 1 if health.verdict is Verdict.BELOW_BASELINE else 0
        lost = health.verdict is Verdict.DIVERGED or below == PATIENCE
        if done or lost or left < lead.drawn // 8:
            return health, cut
        if left > 2 * first and better(health):
            for course in courses:
                course.seen = []
            count = first
            continue
        count = more(lead.drawn, health, wanted, left)


def more(have: int, health: Health, wanted: float, left: int) -> int:
    """How many draws to take next: up to what error and effective size ask for, at most twice as many, or `left`."""
    known = math.isfinite(health.stderr) and wanted > 0 and health.ess > 0
    lacking = max((health.stderr / wanted) ** 2, ESS_CUT / health.ess) if known else 2.0
    target = math.ceil(1.1 * have * lacking)
    return min(max(target - have, have // 2), 2 * have, left)
