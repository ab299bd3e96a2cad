"""What the study depends on: the world, training, the surveys, the grid; at full size and in seconds."""

from dataclasses import dataclass

from thalweg.envs import corner
from thalweg.landscape import Landscape
from thalweg.mdp import Levels
from thalweg.recipes._configuration import Configuration
from thalweg.rl import Ascent, regret_landscape
from thalweg.samplers import Settings


@dataclass(frozen=True)
class _Grid:
    """What is swept.

    Attributes:
        alphas: ascending from one at which nobody leaves the corner; the study's own among them.
        discounts: the study's own among them.
        runs: seeds trained in each cell.
        picks: pairs of policies that are compared at all alphas.
    """

    alphas: tuple[float, ...]
    discounts: tuple[float, ...]
    runs: int
    picks: int


class Config(Configuration):
    """All that the study depends on, beside the seed.

    Attributes:
        size: of the world with its walls.
        alpha: chance that the cheese is anywhere.
        discount: of the reward.
        horizon: steps of an episode at most.
        hidden: widths of the policy's tanh layers.
        ascent: training; its temperature also stands in the regret that is surveyed.
        runs: seeds that are trained.
        n: sample size of the theory, episodes.
        sampler: of the survey of the first run.
        rises: samplers, one for each nbeta, by which lambda on the plateau and at the end is compared.
        grid: of alpha and discount.
        workers: processes of a survey; default the cores.
    """

    size: int
    alpha: float
    discount: float = 0.9
    horizon: int
    hidden: tuple[int, ...]
    ascent: Ascent
    runs: int
    n: int
    sampler: Settings
    rises: tuple[Settings, ...]
    grid: _Grid
    workers: int | None = None

    def levels(self, alpha: float | None = None, discount: float | None = None) -> Levels:
        """The world, at another alpha or discount if asked for."""
        alpha, discount = self.alpha if alpha is None else alpha, self.discount if discount is None else discount
        return corner.corner(self.size, alpha=alpha, discount=discount, horizon=self.horizon)

    def build(self) -> corner.Mouse:
        """The policy, to be initialised."""
        return corner.Mouse(self.size, self.hidden)

    def scape(self, levels: Levels, temperature: float) -> Landscape:
        """Regret on levels with entropy paid, orthogonal to its gradient."""
        scape = regret_landscape(self.build(), levels, n=self.n, temperature=temperature)
        return scape.restrict(orthogonal_to_gradient=True)


def _sampler(nbeta: float, draws: int = 400) -> Settings:
    """Steps of 1/nbeta, a localization of a tenth of nbeta at 1,000; every level in every gradient."""
    step_size = min(1e-3, 1 / nbeta)
    return Settings(
        chains=4, burn_in=draws // 2, draws=draws, step_size=step_size, gamma=100.0, nbeta=nbeta, batch_size=10_000
    )


def paper() -> Config:
    """49 cells."""
    return Config(
        size=9,
        alpha=0.2,
        horizon=28,
        hidden=(32, 32),
        ascent=Ascent(updates=590, learning_rate=0.003, levels=16, every=10, temperature=0.01),
        runs=10,
        n=10_000,
        sampler=_sampler(1000),
        rises=(_sampler(300), _sampler(1000), _sampler(2000, 800)),
        grid=_Grid(alphas=(0.005, 0.02, 0.05, 0.1, 0.2), discounts=(0.8, 0.9, 0.95), runs=10, picks=2),
    )


def tiny() -> Config:
    """Sixteen cells, in seconds."""
    sampler = Settings(chains=4, burn_in=40, draws=160, step_size=1e-3, gamma=400.0, nbeta=300, batch_size=10_000)
    return Config(
        size=6,
        alpha=0.1,
        horizon=16,
        hidden=(16,),
        ascent=Ascent(updates=500, learning_rate=0.005, levels=4, every=50, temperature=0.01),
        runs=3,
        n=1000,
        sampler=sampler,
        rises=(sampler,),
        grid=_Grid(alphas=(0.03, 0.1), discounts=(0.9,), runs=2, picks=1),
        workers=1,
    )
