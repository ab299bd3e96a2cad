"""Policy gradients: unbiased against the exact gradient, advantages against a loop, runs that learn and repeat."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from thalweg.envs import Box, CartPole, Played
from thalweg.envs.corner import Mouse, corner, uniform
from thalweg.errors import InputError
from thalweg.landscape import measure
from thalweg.rl import PPO, Reinforce, learn, regret_landscape
from thalweg.rl._policy_gradients import advantages, mean_of_others, ppo_loss, reinforce_loss, rewards_to_go
from thalweg.rl.rollouts import Trajectories, rollout
from thalweg.rl.sb3 import from_sb3, learn_sb3
from thalweg.rng import seeded

SMALL = corner(4, alpha=0.7, discount=0.8, horizon=5)  # 4 cells, 4 levels
GROUPS, EACH = 300, 32


def mouse(size=4, hidden=(4,)):
    return Mouse(size, hidden)


def part(played, rows):
    return Trajectories(**{name: held[rows] for name, held in vars(played).items()})


def flat(grads):
    return torch.cat([g.flatten().to(torch.float64) for g in grads])


@pytest.fixture(scope="module")
def world():
    """A policy far from uniform, its exact gradient, and many groups of episodes that it plays."""
    with seeded(1, "policy"):
        policy = mouse()
        for held in policy.parameters():
            held.data.mul_(2)
    exact = -measure(regret_landscape(policy, SMALL, n=2)).gradient.to(torch.float64)  # of the return
    played = rollout(policy, Played(SMALL), torch.arange(GROUPS * EACH))
    return policy, exact, [part(played, slice(k * EACH, (k + 1) * EACH)) for k in range(GROUPS)]


def worst_z(world, baseline, discount=SMALL.discount):
    """The largest distance of a component of the mean gradient from the exact one, in standard errors."""
    policy, exact, groups = world
    kind, found = Played(SMALL).actions, []
    for group in groups:
        loss = reinforce_loss(policy, kind, group, baseline(group), discount)
        found.append(-flat(torch.autograd.grad(loss, list(policy.parameters()))))
    found = torch.stack(found)
    error = found.std(0) / GROUPS**0.5
    assert (error > 0).any()
    return ((found.mean(0) - exact).abs() / (error + 1e-7)).max().item()


def by_time(group):
    return mean_of_others(rewards_to_go(group.rewards, SMALL.discount), group.alive)


def by_place(group):
    """Any function of what is seen will do."""
    return torch.sin(group.observations.to(torch.float64) @ torch.tensor([1.0, 5.0], dtype=torch.float64))


@pytest.mark.parametrize("baseline", [by_time, by_place])
def test_the_gradient_of_reinforce_is_that_of_the_return(world, baseline):
    assert worst_z(world, baseline) < 4


def test_the_test_can_fail(world):
    def hindsight(group):  # a baseline that knows the action's outcome
        return 0.5 * rewards_to_go(group.rewards, SMALL.discount)

    assert worst_z(world, hindsight) > 8
    assert worst_z(world, by_time, discount=1.0) > 8  # the gradient of another return


def test_a_baseline_by_time_lowers_the_variance(world):
    policy, _, groups = world

    def in_parallel(baseline):
        losses = [reinforce_loss(policy, Played(SMALL).actions, g, baseline(g), SMALL.discount) for g in groups]
        return torch.stack([flat(torch.autograd.grad(x, list(policy.parameters()))) for x in losses]).var(0).sum()

    assert in_parallel(by_time) < in_parallel(lambda group: torch.zeros_like(group.rewards))


def test_generalised_advantages_are_those_of_the_naive_sum():
    batch, steps, discount, gae = 6, 9, 0.9, 0.7
    generator = torch.Generator().manual_seed(0)
    rewards, values = torch.randn(2, batch, steps, generator=generator, dtype=torch.float64)
    last = torch.randn(batch, generator=generator, dtype=torch.float64)
    length = torch.tensor([9, 9, 9, 4, 1, 8])
    alive = torch.arange(steps) < length[:, None]
    ended = torch.tensor([False, False, True, True, True, True])
    rewards, values, last = rewards * alive, values * alive, torch.where(ended, 0.0, last)

    def naive(b, t, cut):
        end, total = int(length[b]), 0.0
        for later in range(t, end):
            follows = values[b, later + 1] if later + 1 < end else (0.0 if ended[b] and not cut else last[b])
            total += (discount * gae) ** (later - t) * (rewards[b, later] + discount * follows - values[b, later])
        return total

    found = advantages(rewards, values, last, discount, gae)
    for b in range(batch):
        for t in range(steps):
            assert float(found[b, t]) == pytest.approx(float(naive(b, t, False)), abs=1e-12)
    other = advantages(rewards, values, torch.zeros_like(last), discount, gae)  # no bootstrap at the horizon
    assert not torch.allclose(found[:2], other[:2])
    assert torch.equal(found[2:], other[2:])


def test_rewards_to_go_are_sums():
    rewards = torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0]])
    assert torch.equal(rewards_to_go(rewards, 0.5), torch.tensor([[1.5, 1.0, 2.0], [0.5, 1.0, 0.0]]).double())


def test_the_mean_of_others_leaves_oneself_out():
    togo = torch.tensor([[1.0, 4.0], [2.0, 0.0], [6.0, 8.0]])
    alive = torch.tensor([[True, True], [True, False], [True, True]])
    assert mean_of_others(togo, alive)[alive].tolist() == [4.0, 8.0, 3.5, 1.5, 4.0]
    assert torch.equal(mean_of_others(togo[:1], alive[:1]), torch.zeros(1, 2))


def test_ratios_are_clipped_where_that_lowers_the_gain():
    advantage = torch.tensor([1.0, 1.0, -1.0, -1.0], dtype=torch.float64)  # normalised already
    new = torch.tensor([1.5, 0.5, 1.5, 0.5], dtype=torch.float64).log().requires_grad_()
    loss = ppo_loss(new, torch.zeros(4, dtype=torch.float64), advantage, clip=0.2)
    assert loss.item() == pytest.approx(-(1.2 + 0.5 - 1.5 - 0.8) / 4, abs=1e-4)
    (gradient,) = torch.autograd.grad(loss, new)
    assert (gradient != 0).tolist() == [False, True, True, False]


CORNER = corner(size=6, alpha=0.1, discount=0.9, horizon=16)
RUNS = [
    Reinforce(updates=60, episodes=64, learning_rate=3e-2, every=60),
    PPO(updates=20, episodes=64, learning_rate=1e-2, every=20),
]


def walk(settings, seed=0, value=None):
    return list(learn(lambda: mouse(6, (16,)), Played(CORNER), settings, seed, value=value))


@pytest.mark.parametrize("settings", RUNS, ids=lambda s: type(s).__name__)
def test_regret_falls_and_the_same_seed_gives_the_same_bits(settings):
    first, again, other = walk(settings), walk(settings), walk(settings, seed=1)
    assert [p.step for p in first] == [0, settings.updates]
    policy, regrets = mouse(6, (16,)), []
    for moment in first:
        policy.load_state_dict(moment.weights)
        regrets.append(CORNER.regret(CORNER.policy(policy)).item())
    assert regrets[1] < 0.2 * CORNER.regret(uniform(6)).item() < regrets[0]
    assert first[1].mean_return > 3 * first[0].mean_return
    for one, two in zip(first, again, strict=True):
        assert one[2:] == two[2:]
        assert all(torch.equal(one.weights[name], two.weights[name]) for name in one.weights)
    assert not torch.equal(first[1].weights["bias"], other[1].weights["bias"])


def test_returns_are_those_of_the_weights_they_stand_beside():
    policy = mouse(6, (16,))
    for moment in walk(Reinforce(updates=40, episodes=2000, learning_rate=3e-2, every=40)):
        policy.load_state_dict(moment.weights)
        exact = (CORNER.weight * CORNER.returns(CORNER.policy(policy))).sum().item()
        assert moment.discounted_return == pytest.approx(exact, abs=4 * 0.5 / 2000**0.5)


def test_checkpoints_are_kept_before_every_some_and_after():
    assert [p.step for p in walk(Reinforce(updates=5, episodes=4, learning_rate=0.01, every=2))] == [0, 2, 4, 5]


def test_the_learning_rate_decays_to_zero():
    kept = walk(PPO(updates=40, episodes=8, learning_rate=1e-2, every=1, decay=True))
    moved = [(b.weights["bias"] - a.weights["bias"]).norm() for a, b in pairwise(kept)]
    assert sum(moved[-4:]) < 0.3 * sum(moved[:4])


def test_a_pole_stays_up_longer():
    def build():
        return nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 2))

    for settings in (PPO(12, 16, 3e-3, 12), Reinforce(20, 16, 1e-2, 20)):  # a value function made here
        first, last = learn(build, CartPole(horizon=200), settings, seed=0)
        assert last.mean_return > 3 * first.mean_return


class Reach:
    """One number to be shown, and to be answered with its half; three steps."""

    actions, horizon, discount = Box((-1.0,), (1.0,)), 3, 0.9

    def begin(self, seeds):
        return Reached(seeds)


@dataclass(eq=False)
class Reached:
    seeds: torch.Tensor

    def __post_init__(self):
        self.observations = torch.sin(self.seeds.double() % 1000).float()[:, None]

    def step(self, actions):
        reward = -(actions - 0.5 * self.observations)[:, 0].square()
        return reward, torch.zeros(len(reward), dtype=torch.bool)

    def only(self, keep):
        return Reached(self.seeds[keep])


class Gauss(nn.Module):
    def __init__(self):
        super().__init__()
        self.mean, self.spread = nn.Linear(1, 1), nn.Parameter(torch.tensor([-0.5]))

    def forward(self, seen):
        return torch.cat([self.mean(seen), self.spread.expand(len(seen), 1)], -1)


@pytest.mark.parametrize(
    "settings", [PPO(60, 64, 1e-2, 60, decay=True), Reinforce(150, 64, 1e-2, 150)], ids=["PPO", "Reinforce"]
)
def test_numbers_are_learnt_too(settings):
    *_, last = learn(Gauss, Reach(), settings, seed=0)
    assert last.weights["mean.weight"].item() == pytest.approx(0.5, abs=0.15)
    assert last.weights["spread"].item() < -1


def test_entropy_is_paid():
    policy, played = mouse(6, (16,)), {}
    for entropy in (0.0, 1.0):
        *_, last = walk(Reinforce(updates=60, episodes=32, learning_rate=3e-2, every=60, entropy=entropy))
        policy.load_state_dict(last.weights)
        chances = CORNER.policy(policy)
        played[entropy] = -(chances * chances.clamp(min=1e-30).log()).sum(-1).mean()
    assert played[1.0] > played[0.0] + 0.3


@pytest.mark.parametrize("kind", [Reinforce, PPO])
@pytest.mark.parametrize(
    ("name", "given"),
    [("updates", 0), ("episodes", 0), ("every", 1.5), ("learning_rate", 0.0), ("learning_rate", float("nan"))],
)
def test_bad_settings_are_refused(kind, name, given):
    good = {"updates": 1, "episodes": 1, "learning_rate": 0.1, "every": 1}
    with pytest.raises(InputError, match=name):
        kind(**{**good, name: given})


@pytest.mark.parametrize(
    ("name", "given"), [("gae", 1.1), ("clip", 0.0), ("epochs", 0), ("entropy", -1.0), ("value", float("inf"))]
)
def test_bad_settings_of_ppo_are_refused(name, given):
    with pytest.raises(InputError, match=name):
        PPO(updates=1, episodes=1, learning_rate=0.1, every=1, **{name: given})


class Broken(nn.Module):
    def __init__(self, scale, width=1):
        super().__init__()
        self.scale, self.width = nn.Parameter(torch.tensor(scale)), width

    def forward(self, places):
        return self.scale * torch.ones(len(places), self.width)


@pytest.mark.parametrize("settings", [PPO(2, 4, 0.1, 1), Reinforce(2, 4, 0.1, 1)], ids=["PPO", "Reinforce"])
def test_a_run_that_diverged_says_so(settings):
    with pytest.raises(InputError, match="the loss of update 0 is nan: the run diverged, lower the learning rate"):
        walk(settings, value=lambda: Broken(float("nan")))


def test_a_value_function_of_the_wrong_shape_is_refused():
    with pytest.raises(InputError, match=r"value gives \(.*, 3\)"):
        walk(PPO(2, 4, 0.1, 1), value=lambda: Broken(1.0, width=3))


def test_stable_baselines_learns_and_stops_at_checkpoints():
    import stable_baselines3

    algorithm = stable_baselines3.PPO("MlpPolicy", "CartPole-v1", n_steps=64, batch_size=64, n_epochs=1, device="cpu")
    found = list(learn_sb3(algorithm, CartPole(), steps=128, every=64, episodes=8))
    assert [m.step for m in found] == [0, 64, 128]
    assert np.isfinite([m.mean_return for m in found]).all()
    assert not torch.equal(found[0].weights["action_net.weight"], found[-1].weights["action_net.weight"])
    from_sb3(algorithm).load_state_dict(found[-1].weights)


def test_schedules_of_stable_baselines_go_on_over_checkpoints():
    import stable_baselines3

    def algorithm():
        return stable_baselines3.PPO(
            "MlpPolicy",
            "CartPole-v1",
            n_steps=64,
            batch_size=32,
            n_epochs=2,
            learning_rate=lambda left: 1e-3 * left,
            clip_range=lambda left: 0.1 + 0.1 * left,
            device="cpu",
            seed=3,
        )

    whole, parts, steps = algorithm(), algorithm(), 4 * 64
    stable_baselines3.common.utils.set_random_seed(5)
    whole.learn(steps)
    stable_baselines3.common.utils.set_random_seed(5)
    found = list(learn_sb3(parts, CartPole(horizon=20), steps=steps, every=64, episodes=2))
    assert [m.step for m in found] == [0, 64, 128, 192, 256]
    rates = [one.policy.optimizer.param_groups[0]["lr"] for one in (whole, parts)]
    assert rates[0] == rates[1]
    for name, weight in whole.policy.state_dict().items():
        assert torch.equal(parts.policy.state_dict()[name], weight)
    stable_baselines3.common.utils.set_random_seed(5)
    again = algorithm()  # negative control: learn() called anew for each part restarts the schedule
    for part in range(4):
        again.learn(64, reset_num_timesteps=part == 0)
    assert again.policy.optimizer.param_groups[0]["lr"] == rates[0]
    assert not torch.equal(again.policy.action_net.weight, whole.policy.action_net.weight)
