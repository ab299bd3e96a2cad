"""REINFORCE and PPO."""

import numpy as np
import pytest
import torch
from torch import nn

import thalweg as tw
from thalweg.rl import PPO, CartPole, Played, Reinforce, from_sb3, learn, learn_sb3, rollout
from thalweg.rl.corner import Mouse, corner
from thalweg.rl.learning import advantages

WORLD = corner(5, alpha=0.3, discount=0.9, horizon=10)


def mouse():
    return Mouse(5, (8,))


def layers(outputs):
    return nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, outputs))


@pytest.mark.parametrize("decay", [0.0, 0.7, 1.0])
def test_advantages_are_decayed_sums_of_differences(decay):
    torch.manual_seed(0)
    played = rollout(layers(2), CartPole(horizon=25), torch.arange(30))
    values = torch.randn(30, played.alive.shape[1] + 1)
    found = advantages(played, values, 0.95, decay)
    for i in range(30):
        length = int(played.alive[i].sum())
        after = [*values[i, 1:length].tolist(), 0.0 if played.ended[i] else float(values[i, -1])]
        errors = [1 + 0.95 * after[t] - float(values[i, t]) for t in range(length)]
        for t in range(length):
            total = sum((0.95 * decay) ** (k - t) * errors[k] for k in range(t, length))
            assert float(found[i, t]) == pytest.approx(total, abs=1e-4)
    assert (found[~played.alive] == 0).all()
    assert played.ended.any()
    assert (~played.ended).any()


@pytest.mark.parametrize("settings", [Reinforce(60, 32, 0.02, 30), PPO(30, 32, 0.01, 15)])
def test_a_mouse_learns_and_one_seed_gives_one_run(settings):
    policy, regrets, runs = mouse(), [], []
    for _ in range(2):
        runs.append(list(learn(mouse, Played(WORLD), settings, 3)))
    for moment in runs[0]:
        policy.load_state_dict(moment.weights)
        regrets.append(float(WORLD.regret(WORLD.policy(policy).double())))
    assert [m.step for m in runs[0]] == [0, settings.every, settings.updates]
    assert regrets[-1] < 0.5 * regrets[0]
    assert runs[0][-1].mean_return > runs[0][0].mean_return
    for a, b in zip(*runs, strict=True):
        assert all(torch.equal(a.weights[k], b.weights[k]) for k in a.weights)


def test_a_pole_is_balanced_longer_with_a_value_beside():
    settings = PPO(20, 16, 0.01, 20)
    first, last = list(learn(lambda: layers(2), CartPole(horizon=150), settings, 0, value=lambda: layers(1)))
    assert last.mean_score > 3 * first.mean_score


def test_stable_baselines_learns_and_stops_at_checkpoints():
    import stable_baselines3

    algorithm = stable_baselines3.PPO("MlpPolicy", "CartPole-v1", n_steps=64, batch_size=64, n_epochs=1, device="cpu")
    found = list(learn_sb3(algorithm, CartPole(), steps=128, every=64, episodes=8))
    assert [m.step for m in found] == [0, 64, 128]
    assert np.isfinite([m.mean_return for m in found]).all()
    assert not torch.equal(found[0].weights["action_net.weight"], found[-1].weights["action_net.weight"])
    from_sb3(algorithm).load_state_dict(found[-1].weights)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (Reinforce(0, 8, 0.1, 1), "updates = 0"),
        (Reinforce(5, 1, 0.1, 1), "episodes = 1"),
        (Reinforce(5, 8, -0.1, 1), "learning_rate = -0.1"),
        (PPO(5, 8, 0.1, 1, clip=0.0), "clip = 0.0"),
        (PPO(5, 8, 0.1, 1, gae=1.5), "gae = 1.5"),
        (PPO(5, 8, 0.1, 1, minibatches=0), "minibatches = 0"),
    ],
)
def test_settings_out_of_range_are_named(settings, told):
    with pytest.raises(tw.InputError, match=told):
        next(learn(mouse, Played(WORLD), settings, 0))


def test_a_run_that_diverges_says_so():
    with pytest.raises(tw.InputError, match=r"not finite|diverged"):
        list(learn(lambda: layers(2), CartPole(20), Reinforce(5, 4, 1e30, 1), 0, value=lambda: nn.Linear(4, 1)))
