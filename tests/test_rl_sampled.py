"""Rollouts and the sampled regret landscape against the exact one."""

import numpy as np
import pytest
import torch
from torch import nn

import thalweg as tw
from thalweg.envs import Box, CartPole, Discrete, Played
from thalweg.envs.corner import Mouse, corner
from thalweg.landscape import measure
from thalweg.rl import Ascent, ascend, regret_landscape, sampled_landscape
from thalweg.rl.rollouts import rollout
from thalweg.rng import uniforms
from thalweg.samplers import Engine, Settings, advance, chunks, start

WORLD = corner(5, alpha=0.5, discount=0.9, horizon=12)


def trained(updates=60):
    *_, last = ascend(lambda: Mouse(5, (8,)), WORLD, Ascent(updates, 0.01, 4, 30, 0.05), [0])
    mouse = Mouse(5, (8,))
    mouse.load_state_dict(last.weights[0])
    return mouse


def test_numbers_of_a_seed_are_its_own():
    seeds = torch.arange(200_000)
    drawn = uniforms(seeds, 3, "here")
    assert torch.equal(drawn[[7, 90]], uniforms(torch.tensor([7, 90]), 3, "here"))
    assert torch.equal(drawn[:, :2], uniforms(seeds, 2, "here"))
    assert not torch.equal(drawn, uniforms(seeds, 3, "there"))
    error = (1 / 12 / len(seeds)) ** 0.5
    assert (drawn.mean(0) - 0.5).abs().max() < 4.5 * error
    assert float(drawn.min()) > 0
    assert float(drawn.max()) < 1
    assert np.abs(np.corrcoef(np.vstack([drawn.T, drawn[:, 0].roll(1)])) - np.eye(4)).max() < 4.5 / len(seeds) ** 0.5


@pytest.mark.parametrize("environment", [CartPole(horizon=60), Played(WORLD)])
def test_an_episode_is_a_function_of_its_seed(environment):
    torch.manual_seed(0)
    policy = Mouse(5, (8,)) if isinstance(environment, Played) else nn.Linear(4, 2)
    together = rollout(policy, environment, torch.arange(40))
    for seed in (3, 39):
        alone = rollout(policy, environment, torch.tensor([seed]))
        length = int(alone.alive.sum())
        assert int(together.alive[seed].sum()) == length
        assert torch.equal(together.actions[seed, :length], alone.actions[0, :length])
        torch.testing.assert_close(together.rewards[seed, :length], alone.rewards[0, :length])
        torch.testing.assert_close(together.log_prob[seed, :length], alone.log_prob[0, :length])


def test_returns_of_episodes_have_the_exact_mean():
    mouse = trained()
    found = rollout(mouse, Played(WORLD), torch.arange(40_000)).returns(0.9)
    exact = float((WORLD.weight * WORLD.returns(WORLD.policy(mouse).double())).sum())
    assert abs(float(found.mean()) - exact) < 4 * float(found.std()) / 200


def test_actions_have_the_policys_law():
    outputs = torch.tensor([[0.3, -1.0, 0.5]]).expand(60_000, 3)
    noise = uniforms(torch.arange(60_000), 1, "law")
    share = torch.bincount(Discrete(3).sample(outputs, noise), minlength=3) / 60_000
    torch.testing.assert_close(share, torch.softmax(outputs[0], -1), atol=4 * 0.5 / 60_000**0.5, rtol=0)
    box = Box((-1.0,), (1.0,))
    normal = torch.tensor([[0.7, -0.5]]).expand(60_000, 2)
    drawn = box.sample(normal, noise)
    assert float(drawn.mean()) == pytest.approx(0.7, abs=0.011)
    assert float(drawn.std()) == pytest.approx(np.exp(-0.5), rel=0.012)
    expected = torch.distributions.Normal(0.7, np.exp(-0.5)).log_prob(drawn[:, 0])
    torch.testing.assert_close(box.log_prob(normal, drawn), expected, atol=1e-5, rtol=1e-5)
    assert float(box.entropy(normal)[0]) == pytest.approx(-float(expected.mean()), abs=0.02)


def test_sampled_losses_are_minus_returns_and_their_gradient_is_the_exact_one():
    mouse = trained()
    sampled = sampled_landscape(mouse, Played(WORLD), 20_000, n=1000, temperature=0.05)
    exact = measure(regret_landscape(mouse, WORLD, n=1000, temperature=0.05))
    found = measure(sampled)
    best = float((WORLD.weight * WORLD.best(0.05)).sum())
    error = float(found.losses.std()) / len(found.losses) ** 0.5
    assert abs(found.loss + best - exact.loss) < 4 * error
    parts = [
        measure(sampled_landscape(mouse, Played(WORLD), torch.arange(i, i + 1000), n=1000, temperature=0.05)).gradient
        for i in range(20_000, 40_000, 1000)
    ]
    mean, spread = torch.stack(parts).mean(0), torch.stack(parts).std(0) / len(parts) ** 0.5
    alive = spread > 1e-7
    z = (mean - exact.gradient)[alive] / spread[alive]
    assert float(z.square().mean()) < 2
    wrong = (2 * mean - exact.gradient)[alive] / spread[alive]  # a gradient of twice the size is found out
    assert float(wrong.square().mean()) > 4


def test_few_seeds_do_not_shorten_the_gradient():
    mouse = trained()
    exact = measure(regret_landscape(mouse, WORLD, n=1000, temperature=0.05)).gradient
    scape = sampled_landscape(mouse, Played(WORLD), 2, n=1000, temperature=0.05)
    params = {k: w.detach().requires_grad_() for k, w in scape.params.items()}
    shares = []
    for i in range(0, 8000, 2):  # a baseline of both would leave half of it
        losses = scape.losses(params, scape.frozen, torch.arange(i, i + 2), torch.zeros(2))
        found = torch.autograd.grad(losses.mean(), list(params.values()))
        gradient = scape.layout.flatten(dict(zip(params, found, strict=True)))
        shares.append(float(gradient @ exact / exact.square().sum()))
    mean, error = np.mean(shares), np.std(shares) / len(shares) ** 0.5
    assert abs(mean - 1) < 4 * error
    assert abs(mean - 0.5) > 4 * error


def test_plain_sampled_regret_says_that_it_has_no_minimum():
    mouse = trained(120)
    with torch.no_grad():
        for w in list(mouse.parameters())[-2:]:
            w.mul_(0.5)
    plain, soft = (sampled_landscape(mouse, Played(WORLD), 4000, n=1000, temperature=t) for t in (0.0, 0.05))
    assert "no finite minimum" in measure(plain).doubt
    assert measure(soft).doubt == ""


def test_trajectories_are_used_again_inside_a_block_and_nowhere_else():
    mouse = trained()
    scape = sampled_landscape(mouse, Played(WORLD), 800, n=1000)
    losses, data = scape.losses, scape.data
    near = {
        k: w + 0.02 * torch.randn(w.shape, generator=torch.Generator().manual_seed(1))
        for k, w in scape.params.items()
    }
    far = {k: 3 * w for k, w in scape.params.items()}
    with torch.no_grad():
        fresh = losses(near, {}, data.inputs, data.targets)
        assert losses.kept.reuses == 0
        before = losses.kept.rollouts
        losses.begin()
        losses(scape.params, {}, data.inputs, data.targets)
        weighted = losses(near, {}, data.inputs, data.targets)
        assert (losses.kept.rollouts - before, losses.kept.reuses) == (1, 1)
        assert 0.5 <= losses.kept.shares < 1
        losses(far, {}, data.inputs, data.targets)
        assert losses.kept.rollouts - before == 2  # the effective sample size asks for new ones
        losses.end()
        again = losses(near, {}, data.inputs, data.targets)
    assert torch.equal(fresh, again)
    error = float((weighted - fresh).std()) / len(fresh) ** 0.5
    assert abs(float((weighted - fresh).mean())) < 4 * error


def test_a_chain_goes_on_after_a_block_as_if_nothing_had_happened():
    scape = sampled_landscape(trained(), Played(WORLD), 128, n=1000)
    settings = Settings(chains=1, burn_in=0, draws=192, step_size=1e-4, gamma=10, nbeta=20, batch_size=128)
    settings = settings.resolve(scape.n, 128)
    (chunk,) = chunks([measure(scape)], [0], 1, 1)
    state, first = advance(Engine(scape, compiled=False), settings, chunk, start(chunk))
    assert scape.losses.kept.reuses > 50
    _, second = advance(Engine(scape, compiled=False), settings, chunk, state)
    other = sampled_landscape(trained(), Played(WORLD), 128, n=1000)
    _, resumed = advance(Engine(other, compiled=False), settings, chunk, state)
    assert torch.equal(second.loss, resumed.loss)
    assert first.loss.shape == (1, 128)


def test_sampled_and_exact_regret_have_one_coefficient():
    mouse = trained()
    exact = regret_landscape(mouse, WORLD, n=1000, temperature=0.05).restrict(orthogonal_to_gradient=True)
    sampled = sampled_landscape(mouse, Played(WORLD), 8000, n=1000, temperature=0.05)
    sampled = sampled.restrict(orthogonal_to_gradient=True)
    how = {"chains": 4, "burn_in": 60, "draws": 240, "step_size": 2e-3, "gamma": 200.0, "nbeta": 100.0}
    a, b = tw.estimate_llc(exact, batch_size=100, **how), tw.estimate_llc(sampled, batch_size=256, **how)
    assert abs(a.raw - b.raw) < 3 * np.hypot(a.stderr, b.stderr)
    assert b.settings["engine"] == "serial"


def test_a_sampled_landscape_is_surveyed(tmp_path):
    from thalweg.checkpoints import save

    mouse = trained()
    for step in (0, 1):
        save(mouse.state_dict(), tmp_path / "run", step)
    scape = sampled_landscape(mouse, Played(WORLD), 64, n=1000, name="corner of five")
    how = {"chains": 2, "burn_in": 10, "draws": 20, "step_size": 1e-4, "nbeta": 10.0, "batch_size": 64}
    found = tw.survey(scape, tmp_path / "run", tmp_path / "x.zarr", workers=2, **how)
    assert len(found) == 2
    assert np.isfinite(found.column("llc")).all()


class Loud:
    """Gives NaN for a reward."""

    actions, horizon, discount = Discrete(2), 5, 0.9

    def begin(self, seeds):
        self.observations = torch.zeros(len(seeds), 3)
        return self

    def step(self, actions):
        return torch.full((len(actions),), torch.nan), torch.zeros(len(actions), dtype=torch.bool)

    def only(self, keep):
        return self


def test_bad_policies_and_rewards_are_named():
    seeds = torch.arange(4)
    with pytest.raises(tw.InputError, match="a reward of nan at step 0"):
        rollout(nn.Linear(3, 2), Loud(), seeds)
    with pytest.raises(
        tw.InputError, match=r"policy gives \(4, 3\) for 4 observations, the environment has 2 actions"
    ):
        rollout(nn.Linear(4, 3), CartPole(), seeds)
    with pytest.raises(tw.InputError, match="policy failed"):
        rollout(nn.Linear(5, 2), CartPole(), seeds)
    with pytest.raises(tw.InputError, match="outputs that are not finite"):
        rollout(lambda seen: torch.full((len(seen), 2), torch.nan), CartPole(), seeds)
    with pytest.raises(tw.InputError, match="at least two"):
        sampled_landscape(nn.Linear(4, 2), CartPole(), 1, n=100)
