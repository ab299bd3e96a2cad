"""Gymnasium's environments, Stable-Baselines3's policies and archives."""

import io
import json
import pickle
import zipfile

import gymnasium
import numpy as np
import pytest
import torch
from torch import nn

import thalweg as tw
from thalweg.envs import Box, CartPole, Discrete, GymEnvironment, grid_levels, process
from thalweg.envs.base import _Poles
from thalweg.landscape import measure
from thalweg.rl import regret_landscape, sampled_landscape
from thalweg.rl.rollouts import rollout
from thalweg.rl.sb3 import from_sb3


def test_our_cart_pole_is_gymnasiums():
    theirs = gymnasium.make("CartPole-v1")
    rng = np.random.default_rng(0)
    for seed in range(5):
        theirs.reset(seed=seed)
        ours = CartPole().begin(torch.tensor([seed]))
        theirs.unwrapped.state = tuple(ours.observations[0].double().numpy())
        for _ in range(200):
            action = int(rng.integers(2))
            seen, gain, over, _, _ = theirs.step(action)
            reward, ended = ours.step(torch.tensor([action]))
            np.testing.assert_allclose(ours.observations[0], seen, atol=2e-6)
            assert (float(reward[0]), bool(ended[0])) == (gain, over)
            if over:
                break
        assert over
    fallen = _Poles(torch.tensor([[3.0, 0, 0, 0]]), torch.tensor([True]))
    assert float(fallen.step(torch.tensor([0]))[0][0]) == 0


def test_episodes_are_functions_of_their_seeds():
    torch.manual_seed(0)
    environment, policy = GymEnvironment("CartPole-v1"), nn.Linear(4, 2)
    assert environment.horizon == 500
    together = rollout(policy, environment, torch.arange(12))
    alone = rollout(policy, environment, torch.tensor([11]))
    length = int(alone.alive.sum())
    assert int(together.alive[11].sum()) == length
    torch.testing.assert_close(together.observations[11, :length], alone.observations[0, :length])
    again = rollout(policy, environment, torch.arange(12))
    assert torch.equal(together.rewards, again.rewards)


def balanced(seen):
    """Logits of a linear controller that keeps the pole up."""
    push = 1e4 * (seen @ torch.tensor([0.1, 0.3, 3.0, 1.0]))
    return torch.stack([-push, push], -1)


def own_limit(steps=7):
    return gymnasium.wrappers.TimeLimit(gymnasium.make("CartPole-v1").unwrapped, steps)


def test_episodes_are_cut_by_our_horizon_alone():
    played = rollout(balanced, GymEnvironment("CartPole-v1", horizon=600), torch.arange(2))
    assert played.alive.shape == (2, 600)
    assert played.alive.all()
    assert not played.ended.any()
    fallen = rollout(lambda seen: -balanced(seen), GymEnvironment("CartPole-v1", horizon=600), torch.arange(2))
    assert fallen.ended.all()  # negative control: it ends by itself where it falls
    assert fallen.alive.shape[1] < 100
    cut = rollout(balanced, GymEnvironment("CartPole-v1", horizon=9), torch.arange(2))
    assert (cut.alive.shape, bool(cut.ended.any())) == ((2, 9), False)
    for make, steps in ((lambda: gymnasium.make("CartPole-v1"), 500), ("MiniGrid-Empty-5x5-v0", 100), (own_limit, 7)):
        with pytest.raises(tw.InputError, match=rf"stops by itself after {steps} steps, horizon = 600"):
            GymEnvironment(make, horizon=600)
    assert GymEnvironment(own_limit).horizon == 7


def test_a_hidden_limit_of_time_is_no_end():
    hidden = GymEnvironment(Make("cut"), horizon=5)
    with pytest.raises(tw.InputError, match="cuts an episode after 3 steps, horizon = 5: give horizon=3"):
        rollout(nn.Linear(2, 2), hidden, torch.arange(2))
    assert not rollout(nn.Linear(2, 2), GymEnvironment(Make("cut"), horizon=3), torch.arange(2)).ended.any()


def test_numbers_are_acted_with():
    environment = GymEnvironment("Pendulum-v1", horizon=20)
    assert isinstance(environment.actions, Box)
    played = rollout(nn.Linear(3, 2), environment, torch.arange(3))
    assert played.actions.shape == (3, 20, 1)
    assert (played.rewards < 0).all()


def test_a_frozen_lake_is_played_as_it_is_solved():
    lake, reward = process("FrozenLake-v1", 0.95)
    even = torch.full((16, 4), 0.25)
    exact = float(lake.returns(even, reward))
    environment = GymEnvironment("FrozenLake-v1", discount=0.95)
    played = rollout(lambda seen: torch.zeros(len(seen), 4), environment, torch.arange(1500)).returns(0.95)
    assert abs(float(played.mean()) - exact) < 4 * float(played.std()) / 1500**0.5
    assert float(lake.regret(even, reward)) > 0.1
    with pytest.raises(tw.InputError, match="no table"):
        process("CartPole-v1", 0.9)


def test_a_room_is_walked_as_it_is_played():
    room = grid_levels("MiniGrid-Empty-5x5-v0", discount=0.9)
    assert room.states == 3 * 3 * 4
    assert float(room.best()[0]) == pytest.approx(0.9**4)  # two ahead, a turn, two ahead: the fifth step pays
    torch.manual_seed(0)
    policy = nn.Linear(147, 3)
    wide = nn.Linear(147, 7)
    with torch.no_grad():
        wide.weight[:3], wide.bias[:3] = policy.weight, policy.bias
        wide.weight[3:], wide.bias[3:] = 0, -1e9
    played = rollout(wide, GymEnvironment("MiniGrid-Empty-5x5-v0", discount=0.9), torch.arange(150))
    exact = float(room.returns(room.policy(policy).double())[0])
    powers = 0.9 ** torch.arange(played.rewards.shape[1], dtype=torch.float64)
    found = ((played.rewards > 0) * powers).sum(1)
    assert abs(float(found.mean()) - exact) < 4 * float(found.std()) / 150**0.5 + 1e-9


class Fixed(gymnasium.Wrapper):
    """A room that is reset with the same seed whatever is asked for."""

    def reset(self, *, seed=None, options=None):
        return self.env.reset(seed=3, options=options)


class Toll(gymnasium.Wrapper):
    """Hides a counter: the fifth step of an episode ends it."""

    def reset(self, **given):
        self.time = 0
        return self.env.reset(**given)

    def step(self, action):
        self.time += 1
        found, gain, over, cut, info = self.env.step(action)
        return found, gain, over or self.time == 5, cut, info


class Blind(gymnasium.ObservationWrapper):
    """Sees nothing."""

    def observation(self, observation):
        return {"image": 0 * observation["image"]}


def punished(one):
    """Every step costs."""
    step = one.unwrapped.step
    one.unwrapped.step = lambda action: (lambda found, _, *rest: (found, -1.0, *rest))(*step(action))
    return one


def room(key, wrapper=Fixed):
    import minigrid  # noqa: F401  (it registers its environments)

    return lambda: wrapper(gymnasium.make(f"MiniGrid-{key}-v0"))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        ("MiniGrid-DoorKey-5x5-v0", "differs from reset to reset"),
        ("MiniGrid-FourRooms-v0", "differs from reset to reset"),
        ("MiniGrid-Empty-Random-5x5-v0", "differs from reset to reset, in its layout or where the agent starts"),
        ("MiniGrid-Dynamic-Obstacles-5x5-v0", r"differs from reset to reset.*roll it out, GymEnvironment"),
        (room("DoorKey-5x5"), "action 3 at .* changes more than where the agent is"),
        (room("Dynamic-Obstacles-5x5"), "action 0 at .* changes more than where the agent is"),
        (room("Empty-5x5", Toll), "does not play as it was walked"),
        (room("Empty-5x5", Blind), "does not play as it was walked"),
        (room("Empty-5x5", punished), r"action 0 at \(1, 1\) pays -1, levels of rooms know a goal alone"),
        ("CartPole-v1", "is no MiniGrid room"),
    ],
)
def test_rooms_that_are_no_table_are_refused(make, told):
    with pytest.raises(tw.InputError, match=told):
        grid_levels(make, discount=0.9)


def test_rooms_that_are_fixed_are_walked(monkeypatch):
    fixed = grid_levels(room("FourRooms"), discount=0.9)  # the same chances at each reset: a room like any other
    assert 0 < float(fixed.best()[0]) < 1
    with pytest.raises(tw.InputError, match="actions = 8"):
        grid_levels("MiniGrid-Empty-5x5-v0", discount=0.9, actions=8)
    monkeypatch.setattr("thalweg.envs.gymnasium.tables.STATES", 35)
    with pytest.raises(tw.InputError, match="more than 35 places and directions"):
        grid_levels("MiniGrid-Empty-5x5-v0", discount=0.9)
    monkeypatch.setattr("thalweg.envs.gymnasium.tables.STATES", 36)
    assert grid_levels("MiniGrid-Empty-5x5-v0", discount=0.9).states == 36


class Odd(gymnasium.Env):
    """Misbehaves as it is told."""

    observation_space = gymnasium.spaces.Box(-1, 1, (2,))
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, fault):
        self.fault = fault
        if fault == "actions":
            self.action_space = gymnasium.spaces.MultiDiscrete([2, 2])

    def reset(self, *, seed=None, options=None):
        self.time = 0
        return (np.zeros(2, np.float32), {}) if self.fault != "tuple" else ((1, 2), {})

    def step(self, action):
        self.time += 1
        seen = np.zeros(3 if self.fault == "shape" else 2, np.float32)
        if self.fault == "seen":
            seen[0] = np.inf
        if self.fault == "raises":
            raise KeyError("lost")
        return seen, np.nan if self.fault == "reward" else 1.0, False, self.fault == "cut" and self.time == 3, {}


class Make:
    def __init__(self, fault):
        self.fault = fault

    def __call__(self):
        return Odd(self.fault)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("reward", "gives a reward of nan"),
        ("shape", r"changes its observations from \(2,\) to \(3,\)"),
        ("seen", "observation that is not finite"),
        ("raises", "KeyError"),
        ("actions", "actions of kind MultiDiscrete"),
        ("tuple", "observations of kind"),
    ],
)
def test_environments_that_misbehave_are_named(fault, told):
    with pytest.raises(tw.InputError, match=told):
        rollout(nn.Linear(2, 2), GymEnvironment(Make(fault), horizon=5), torch.arange(3))


def test_an_environment_that_never_ends_and_one_that_is_not_there():
    with pytest.raises(tw.InputError, match=r"no limit of time: give horizon="):
        GymEnvironment(Make("none"))
    with pytest.raises(tw.InputError, match="environment 'Nowhere-v0' failed"):
        GymEnvironment("Nowhere-v0")
    assert rollout(nn.Linear(2, 2), GymEnvironment(Make("none"), horizon=5), torch.arange(2)).alive.all()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    import stable_baselines3

    folder = tmp_path_factory.mktemp("sb3")
    algorithm = stable_baselines3.PPO("MlpPolicy", "CartPole-v1", n_steps=64, batch_size=32, n_epochs=1, device="cpu")
    for _ in range(2):
        algorithm.learn(64, reset_num_timesteps=False)
        algorithm.save(folder / f"ppo_{algorithm.num_timesteps}")
    return algorithm, folder


def test_policies_of_stable_baselines_are_ours(trained):
    import stable_baselines3

    seen = torch.randn(6, 4)
    theirs = trained[0].policy.get_distribution(seen).distribution.logits
    torch.testing.assert_close(torch.log_softmax(from_sb3(trained[0])(seen), -1), theirs, atol=1e-6, rtol=0)
    gaussian = stable_baselines3.A2C("MlpPolicy", "Pendulum-v1", device="cpu")
    found = gaussian.policy.get_distribution(torch.randn(6, 3))
    own = from_sb3(gaussian)(torch.randn(6, 3))
    assert own.shape == (6, 2)
    torch.testing.assert_close(own[0, 1:].exp(), found.distribution.stddev[0], atol=1e-6, rtol=0)
    with pytest.raises(tw.InputError, match="DQNPolicy is not understood"):
        from_sb3(stable_baselines3.DQN("MlpPolicy", "CartPole-v1", device="cpu"))


def test_a_policy_that_was_taken_leaves_the_algorithm_as_it_was(trained):
    algorithm, held = trained[0], from_sb3(trained[0])
    assert all(own.requires_grad for own in algorithm.policy.parameters())
    assert not held.value_net.weight.requires_grad
    assert held.action_net.weight.requires_grad
    with torch.no_grad():
        held.action_net.weight.add_(1)
    assert not torch.equal(held.action_net.weight, algorithm.policy.action_net.weight)


def test_archives_of_stable_baselines_are_checkpoints(trained):
    algorithm, folder = trained
    series = tw.checkpoints(folder)
    assert series.steps == [64, 128]
    policy = from_sb3(algorithm)
    scape = sampled_landscape(policy, CartPole(horizon=30), 16, n=100)
    assert not any("value" in name for name in scape.params)
    moved = scape.at(series.items[0].load())
    assert np.isfinite(measure(moved).loss)


class Pictures(gymnasium.Env):
    """Noise to look at."""

    action_space = gymnasium.spaces.Discrete(3)

    def __init__(self, side=36, first=False):
        shape = (3, side, side) if first else (side, side, 3)
        self.observation_space = gymnasium.spaces.Box(0, 255, shape, np.uint8)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.integers(0, 256, self.observation_space.shape, dtype=np.uint8), {}

    def step(self, action):
        return self.reset()[0], 1.0, False, False, {}


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("MlpPolicy", {"normalize_images": True}),
        ("MlpPolicy", {"normalize_images": False}),
        ("CnnPolicy", {"normalize_images": True}),
        ("CnnPolicy", {"normalize_images": True, "share_features_extractor": False}),
    ],
)
@pytest.mark.parametrize("first", [False, True], ids=["channels last", "channels first"])
def test_policies_of_images_see_them_as_stable_baselines_does(kind, settings, first):
    import stable_baselines3

    algorithm = stable_baselines3.PPO(
        kind, Pictures(first=first), policy_kwargs=settings, device="cpu", seed=0, n_steps=8, batch_size=8
    )
    with torch.no_grad():
        algorithm.policy.action_net.weight.mul_(100)  # it begins near zero
    environment = GymEnvironment(lambda: Pictures(first=first), horizon=2)
    seen = environment.begin(torch.arange(4)).observations
    theirs, _ = algorithm.policy.obs_to_tensor(seen.to(torch.uint8).numpy())
    wanted = algorithm.policy.get_distribution(theirs).distribution.logits.detach()
    assert float(wanted.std(0).max()) > 1e-3  # it looks
    policy = from_sb3(algorithm)
    torch.testing.assert_close(torch.log_softmax(policy(seen), -1).detach(), wanted, atol=1e-5, rtol=0)
    assert not torch.allclose(torch.log_softmax(policy(255 - seen), -1), wanted, atol=1e-3)
    assert rollout(policy, environment, torch.arange(2)).alive.all()
    assert "image" in repr(policy) or not settings["normalize_images"]


def test_archives_of_image_policies_are_checkpoints(tmp_path):
    import stable_baselines3

    own = {"share_features_extractor": False}
    for settings in ({}, own):
        algorithm = stable_baselines3.PPO(
            "CnnPolicy", Pictures(), policy_kwargs=settings, device="cpu", n_steps=8, batch_size=8
        )
        algorithm.save(tmp_path / "ppo_8")
        policy = from_sb3(algorithm)
        held = tw.checkpoints(tmp_path).items[0].load()
        scape = sampled_landscape(policy, GymEnvironment(lambda: Pictures(), horizon=2), 2, n=100)
        assert np.isfinite(measure(scape.at(held)).loss)


def test_policies_of_other_observations_than_ours_are_refused():
    import stable_baselines3

    class Both(Pictures):
        def __init__(self):
            self.observation_space = gymnasium.spaces.Dict({"seen": gymnasium.spaces.Box(0, 1, (2,))})

    with pytest.raises(tw.InputError, match="observations of kind Dict: only Box, Discrete"):
        from_sb3(stable_baselines3.PPO("MultiInputPolicy", Both(), device="cpu"))
    scaled = stable_baselines3.common.vec_env.VecNormalize(
        stable_baselines3.common.env_util.make_vec_env("CartPole-v1")
    )
    algorithm = stable_baselines3.A2C("MlpPolicy", scaled, device="cpu")
    with pytest.raises(tw.InputError, match="rescaled by VecNormalize"):
        from_sb3(algorithm)
    assert from_sb3(algorithm.policy)(torch.zeros(1, 4)).shape == (1, 2)


def archive(path, **parts):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in parts.items():
            file.writestr(name.replace("__", "."), content)
    return path


class Evil:
    def __reduce__(self):
        return print, ("run",)


def test_hostile_archives_are_refused(tmp_path):
    def told(match, **parts):
        archive(tmp_path / "x_1.zip", **parts)
        with pytest.raises(tw.InputError, match=match):
            tw.checkpoints(tmp_path)

    told(r"holds no policy\.pth", data="{}")
    told("no archive|no checkpoint|would run code", policy__pth=pickle.dumps(Evil()))
    buffer = io.BytesIO()
    torch.save({"w": Evil()}, buffer)
    told("would run code", policy__pth=buffer.getvalue())
    told("no archive", policy__pth=b"", data="{not json")
    (tmp_path / "x_1.zip").write_bytes(b"PK nothing")
    with pytest.raises(tw.InputError, match="no archive"):
        tw.checkpoints(tmp_path)
    buffer = io.BytesIO()
    torch.save({"w": torch.ones(2)}, buffer)
    path = archive(
        tmp_path / "x_1.zip", policy__pth=buffer.getvalue(), data=json.dumps({"num_timesteps": {":type:": 1}})
    )
    assert tw.checkpoints(tmp_path).steps == [1]
    with zipfile.ZipFile(path) as file:
        file.getinfo("policy.pth").file_size = 1
    (tmp_path / "x_1.zip").unlink()
    archive(tmp_path / "y_2.zip", **{"../policy__pth": buffer.getvalue()})
    with pytest.raises(tw.InputError, match=r"holds no policy\.pth"):
        tw.checkpoints(tmp_path)
    assert not (tmp_path.parent / "policy.pth").exists()


def test_regret_of_a_lake_is_a_landscape():
    lake, reward = process("FrozenLake-v1", 0.9)
    policy = nn.Linear(16, 4)
    scape = regret_landscape(policy, lake, n=100, reward=reward, observations=torch.eye(16))
    assert 0 < measure(scape).loss < 1
    assert isinstance(GymEnvironment("FrozenLake-v1").actions, Discrete)
