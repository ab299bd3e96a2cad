"""Odd environments and tables: each is right against a value by hand, or refused in one line that names it."""

import random

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn

import thalweg as tw
from thalweg.envs import Discrete, GymEnvironment, process
from thalweg.envs.gymnasium._environment import limit
from thalweg.landscape import measure
from thalweg.rl import sampled_landscape
from thalweg.rl.rollouts import rollout
from thalweg.rl.sb3 import from_sb3

POLICY = nn.Linear(2, 2)
PLANE, PAIR = spaces.Box(-9, 9, (2,), np.float32), spaces.Discrete(2)


def odd(seen=PLANE, acts=PAIR, first=None, then=None, reset=None, step=None, called="Odd"):
    """A kind of environment that is right but in what is given.

    Args:
        seen: its observation space.
        acts: its action space.
        first: (env) -> what reset observes.
        then: (env, action) -> what a step observes.
        reset: in place of its reset.
        step: (env, action) -> what a step returns.
        called: its name.
    """

    def plain_reset(self, *, seed=None, options=None):
        gymnasium.Env.reset(self, seed=seed)
        self.acted = []
        return (first(self) if first else np.zeros(2, np.float32)), {}

    def plain_step(self, action):
        self.acted.append(action)
        if step:
            return step(self, action)
        return (then or (lambda *_: np.zeros(2, np.float32)))(self, action), 1.0, False, False, {}

    parts = {"observation_space": seen, "action_space": acts, "reset": reset or plain_reset, "step": plain_step}
    return type(called, (gymnasium.Env,), parts)


def always(*given):
    """A step that returns these."""
    return lambda env, action: given


ZERO = np.zeros(2, np.float32)


def played(make, horizon=3, actions=(0, 1, 0)):
    """Rewards of one episode under these actions, and the copy that was played."""
    episodes = GymEnvironment(make, horizon=horizon).begin(torch.arange(1))
    return [float(episodes.step(torch.tensor([a]))[0]) for a in actions], episodes


def refused(make, *words):
    """One line, with these words."""
    with pytest.raises(tw.InputError) as told:
        played(make)
    line = str(told.value)
    assert "\n" not in line
    assert all(word in line for word in words), line


def test_an_environment_that_is_right_is_played():  # the control of all refusals below
    assert played(odd())[0] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(("start", "dtype"), [(-1, np.int64), (0, np.int32), (1, np.uint8), (5, np.int64)])
def test_actions_are_the_spaces_own_numbers(start, dtype):
    space = spaces.Discrete(3, start=start, dtype=dtype)
    gains = lambda env, a: (ZERO, float(a), False, False, {})  # noqa: E731
    rewards, episodes = played(odd(acts=space, step=gains), actions=(0, 1, 2))
    assert rewards == [start, start + 1, start + 2]
    assert all(a in space for a in episodes.copies[0].acted)


def test_a_space_of_ones_own_is_what_it_is_derived_from():
    class Mine(spaces.Discrete):
        pass

    assert played(odd(acts=Mine(2, start=3), step=lambda env, a: (ZERO, a, False, False, {})))[0] == [3, 4, 3]


def test_numbers_are_of_the_spaces_type_and_on_its_bounds():
    space = spaces.Box(np.array([-0.1]), np.array([0.3]), dtype=np.float64)
    environment = GymEnvironment(odd(acts=space), horizon=3)
    episodes = environment.begin(torch.arange(1))
    for given in (-7.0, 0.25, 7.0):
        episodes.step(torch.tensor([[given]]))
    acted = episodes.copies[0].acted
    assert [a.dtype for a in acted] == [np.float64] * 3
    assert [float(a[0]) for a in acted] == [-0.1, 0.25, 0.3]
    assert all(a in space for a in acted)


@pytest.mark.parametrize(
    ("space", "told"),
    [
        (spaces.MultiDiscrete([2, 2]), "MultiDiscrete"),
        (spaces.MultiBinary(2), "MultiBinary"),
        (spaces.Box(0, 5, (2,), np.int64), "int64"),
        (spaces.Box(0, 1, (2, 2)), "(2, 2)"),
        (spaces.Box(0, 1, ()), "shape ()"),
        (spaces.Tuple([PAIR]), "Tuple"),
        (spaces.Dict({"a": PAIR}), "Dict"),
        (spaces.Text(4), "Text"),
        (spaces.OneOf([PAIR, PAIR]), "OneOf"),
        (spaces.Sequence(PAIR), "Sequence"),
        (spaces.Graph(PLANE, None), "Graph"),
        (None, "NoneType"),
        (2, "int"),
    ],
)
def test_other_actions_are_refused(space, told):
    refused(odd(acts=space), "environment Odd", "actions of kind", told, "wrap it")


@pytest.mark.parametrize(
    ("space", "given", "seen"),
    [
        (PLANE, np.array([1, 2], np.int64), [1, 2]),
        (PLANE, [1.5, 2], [1.5, 2]),
        (PLANE, np.array([50, 0]), [50, 0]),  # physics leaves bounds that were only declared
        (PLANE, np.array([0.1, 0.2]), [0.1, 0.2]),
        (spaces.Discrete(3), 2, [0, 0, 1]),
        (spaces.Discrete(3, start=-1), -1, [1, 0, 0]),
        (spaces.Discrete(3, start=5), np.int32(6), [0, 1, 0]),
        (spaces.MultiBinary(2), np.array([1, 0], np.int8), [1, 0]),
        (spaces.MultiDiscrete([3, 4]), np.array([2, 3]), [2, 3]),
        (spaces.MultiDiscrete([3, 4], start=[5, 5]), np.array([5, 8]), [5, 8]),
        (spaces.Dict({"image": spaces.Box(0, 9, (1, 2))}), {"image": np.array([[3, 4]])}, [3, 4]),
    ],
)
def test_observations_are_right(space, given, seen):
    make = odd(seen=space, first=lambda env: given, then=lambda *_: given)
    _, episodes = played(make)
    np.testing.assert_allclose(episodes.observations, [seen], rtol=1e-7)


@pytest.mark.parametrize(
    ("space", "told"),
    [
        (spaces.Text(5), "Text"),
        (spaces.Graph(PLANE, None), "Graph"),
        (spaces.Sequence(PLANE), "Sequence"),
        (spaces.OneOf([PLANE, PAIR]), "OneOf"),
        (spaces.Tuple([PLANE, PAIR]), "Tuple"),
        (spaces.Dict({"image": PLANE, "goal": PLANE}), "(goal, image)"),
        (spaces.Dict({"image": PLANE, "direction": PAIR, "mission": spaces.Text(5)}), "mission"),  # no MiniGrid room
        (spaces.Dict({"a": spaces.Dict({"image": PLANE})}), "Dict (a)"),
        (spaces.Dict({"image": PAIR}), "Dict (image)"),
        (spaces.Discrete(2**30), "one-hot"),
        (None, "NoneType"),
    ],
)
def test_other_observations_are_refused(space, told):
    def sample(env):
        if space is None or told == "one-hot":
            return None
        space.seed(0)
        return space.sample()

    make = odd(seen=space, first=sample, then=lambda env, a: sample(env))
    refused(make, "environment Odd", told, "wrap it")
    try:
        played(make)
    except tw.InputError as error:
        if "FlattenObservation" in str(error):  # then that is a remedy
            assert played(lambda: gymnasium.wrappers.FlattenObservation(make()), horizon=1, actions=())


@pytest.mark.parametrize(
    ("space", "given", "told"),
    [
        (PLANE, None, "NoneType"),
        (PLANE, "text", "str"),
        (PLANE, [[1.0], [1.0, 2.0]], "give an array of numbers"),
        (PLANE, np.array([1j, 0]), "complex128"),
        (PLANE, {"image": ZERO, "goal": ZERO}, "gives a dict"),
        (PLANE, (1.0, 2.0), "gives a tuple"),
        (PLANE, np.zeros(3, np.float32), "shape (3,), its observation_space says (2,)"),
        (PLANE, np.array([np.nan, 0]), "not finite"),
        (PLANE, np.array([1e300, 0]), "not finite in float32"),
        (PLANE, np.array([2**24 + 1, 0]), "which float32 does not hold"),
        (spaces.Discrete(3), 3, "not in its Discrete(3)"),
        (spaces.Discrete(3), -1, "not in its Discrete(3)"),
        (spaces.Discrete(3, start=1), 0, "not in its Discrete(3, start=1)"),
        (spaces.Discrete(3), 1.7, "no whole number"),
        (spaces.Discrete(3), np.array([1]), "no whole number"),
        (spaces.Discrete(3), None, "no whole number"),
        (spaces.Discrete(3), [1, [2]], "give an array of numbers"),
        (PLANE, {"image": ZERO}, "gives a dict"),
        (spaces.MultiBinary(2), np.array([2, 0]), "not in its MultiBinary"),
        (spaces.MultiDiscrete([3, 4]), np.array([3, 0]), "not in its MultiDiscrete"),
    ],
)
@pytest.mark.parametrize("when", ["reset", "step"])
def test_observations_that_are_not_of_their_space_are_refused(space, given, told, when):
    def fine(*_):
        return np.full(space.shape, 1) if space.shape else int(space.start)

    make = odd(seen=space, first=fine if when == "step" else lambda env: given, then=lambda *_: given)
    with pytest.raises(tw.InputError, match="environment Odd") as error:
        played(make)
    assert told in str(error.value) or (told.startswith("shape") and "changes its observations" in str(error.value))


@pytest.mark.parametrize("gain", [1, True, np.float32(1), np.int64(1), np.array(1.0), torch.tensor(1.0)])
def test_rewards_of_any_type_are_numbers(gain):
    assert played(odd(step=always(ZERO, gain, False, False, {})))[0] == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("gain", "told"),
    [
        (None, "NoneType"),
        ("1.0", "str"),
        (np.array([1.0]), "ndarray"),
        ([1.0], "list"),
        (1j, "complex"),
        (np.nan, "reward of nan"),
        (np.inf, "reward of inf"),
        (1e300, "1e+300"),
        ({"reward": 1}, "dict"),
    ],
)
def test_rewards_that_are_no_number_are_refused(gain, told):
    refused(odd(step=always(ZERO, gain, False, False, {})), "environment Odd", "gives a reward", told)


@pytest.mark.parametrize("over", [None, np.nan, "False", 2, np.array([True]), []])
@pytest.mark.parametrize("which", ["terminated", "truncated"])
def test_ends_that_are_no_bool_are_refused(over, which):
    ends = (over, False) if which == "terminated" else (False, over)
    refused(odd(step=always(ZERO, 1.0, *ends, {})), "environment Odd", f"gives {which}", "True or False")


def test_an_episode_ends_once_and_one_that_is_cut_has_not_ended():
    make = odd(step=lambda env, a: (ZERO, 1.0, np.bool_(len(env.acted) == 2), len(env.acted) == 3, {}))
    environment = GymEnvironment(make, horizon=3)
    found = rollout(nn.Linear(2, 2), environment, torch.arange(2))
    assert (found.rewards.tolist(), found.ended.tolist()) == ([[1, 1]] * 2, [True] * 2)
    cut = odd(step=lambda env, a: (ZERO, 1.0, False, len(env.acted) == 3, {}))
    assert not rollout(nn.Linear(2, 2), GymEnvironment(cut, horizon=3), torch.arange(2)).ended.any()


def no_seed(self):
    return ZERO


def no_info(self, *, seed=None, options=None):
    return ZERO


def no_dict(self, *, seed=None, options=None):
    return ZERO, None


def raises(self, *, seed=None, options=None):
    raise KeyError("lost\nand more")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (odd(reset=no_seed), ["seed", "return (observation, info)"]),
        (odd(reset=no_info), ["a ndarray", "return (observation, info)"]),
        (odd(reset=no_dict), ["2 values", "a dict"]),
        (odd(reset=raises), ["KeyError"]),
        (odd(step=always(ZERO, 1.0, False, {})), ["4 values", "terminated, truncated, info"]),
        (odd(step=always(ZERO, 1.0, False, False, {}, 1)), ["6 values"]),
        (odd(step=lambda env, a: None), ["a NoneType"]),
        (odd(step=lambda env, a: 1 / 0), ["ZeroDivisionError", "mend its step()"]),
    ],
)
def test_old_interfaces_are_named(make, told):
    refused(make, "environment Odd", *told)


ONE = odd()()


class Cycled:
    """Gives three environments in turn."""

    def __init__(self):
        self.of, self.count = [odd()() for _ in range(3)], 0

    def __call__(self):
        self.count += 1
        return self.of[self.count % 3]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: object(), "is no gymnasium.Env"),
        (lambda: None, "is no gymnasium.Env"),
        (lambda: gymnasium.make_vec("CartPole-v1", 2), "is no gymnasium.Env"),
        (odd()(), "give a function that makes"),
        (lambda: 1 / 0, "ZeroDivisionError"),
        (lambda: ONE, "is the same object each time"),
        (Cycled(), "is the same object each time"),
    ],
)
def test_what_makes_no_environment_is_refused(make, told):
    with pytest.raises(tw.InputError, match="environment.*" + told):
        rollout(POLICY, GymEnvironment(make, horizon=3), torch.arange(4))


@pytest.mark.parametrize(
    ("setting", "value"), [("horizon", 2.5), ("horizon", -1), ("discount", 1.5), ("discount", np.nan)]
)
def test_settings_out_of_their_range_are_refused(setting, value):
    with pytest.raises(tw.InputError, match=f"{setting} = "):
        GymEnvironment(odd(), **{"horizon": 3, setting: value})


@pytest.mark.parametrize("clock", [None, np.inf, "7", [7], 0])
def test_a_clock_that_is_no_number_of_steps_is_none(clock):
    one = odd()()
    one.max_steps = clock
    assert limit(one) == 0
    one.max_steps = 7
    assert limit(one) == 7


def drawn(how, called="Chancy"):
    """Rewards that are drawn."""
    return odd(step=lambda env, a: (ZERO, float(how(env)), False, False, {}), called=called)


def streams():
    """Where the global streams of numpy, Python and torch stand."""
    return repr(np.random.get_state(legacy=True)), random.getstate(), torch.get_rng_state().tolist()  # noqa: NPY002


def total(environment, seeds):
    return rollout(POLICY, environment, seeds).rewards.sum(1)


@pytest.mark.parametrize(
    "how",
    [lambda env: np.random.normal(), lambda env: random.random(), lambda env: torch.rand(())],  # noqa: NPY002
    ids=["numpy", "random", "torch"],
)
def test_draws_from_global_streams_become_those_of_the_seed(how):
    torch.manual_seed(0)
    before = streams()
    environment = GymEnvironment(drawn(how), horizon=3)
    assert environment.shared
    together = total(environment, torch.arange(4))
    assert len(set(together.tolist())) == 4
    assert torch.equal(together, total(environment, torch.arange(4)))
    assert torch.equal(together[3:], total(environment, torch.tensor([3])))
    assert streams() == before  # those of everyone else are where they were
    assert np.isfinite(measure(sampled_landscape(POLICY, environment, 4, n=100)).loss)


def test_draws_from_the_environments_own_stream_are_those_of_the_seed():
    environment = GymEnvironment(drawn(lambda env: env.np_random.normal()), horizon=3)
    assert not environment.shared
    assert torch.equal(total(environment, torch.arange(4)), total(environment, torch.arange(4)))


def unseeded(self, *, seed=None, options=None):
    self.acted = []
    return ZERO, {}


OURS = np.random.default_rng(0)


@pytest.mark.parametrize(
    "make",
    [
        drawn(lambda env: np.random.default_rng().normal()),
        drawn(lambda env: random.SystemRandom().random()),
        drawn(lambda env: OURS.normal()),
        odd(reset=unseeded, step=lambda env, a: (ZERO, env.np_random.normal(), False, False, {}), called="Chancy"),
        odd(first=lambda env: OURS.normal(size=2), called="Chancy"),
    ],
    ids=["fresh", "system", "of all copies", "reset without seed", "first state"],
)
def test_chances_that_belong_to_no_seed_are_named(make):
    environment = GymEnvironment(make, horizon=3)
    with pytest.raises(tw.InputError, match=r"environment Chancy differs from itself .*self\.np_random"):
        rollout(nn.Linear(2, 2), environment, torch.arange(2))
    with pytest.raises(tw.InputError, match="environment Chancy"):
        sampled_landscape(nn.Linear(2, 2), environment, 4, n=100)


def late(how, after=70):
    """Draws after so many steps, later than two copies are played side by side."""
    return drawn(lambda env: how(env) if len(env.acted) > after else 1.0)


def test_chances_that_come_late_are_named_too():
    watched = GymEnvironment(late(lambda env: np.random.normal()), horizon=90)  # noqa: NPY002
    with pytest.raises(tw.InputError, match="environment Chancy draws from the global stream of numpy"):
        rollout(nn.Linear(2, 2), watched, torch.arange(2))
    hidden = GymEnvironment(late(lambda env: OURS.normal()), horizon=90)
    assert hidden.doubt == ""
    with pytest.raises(tw.InputError, match="environment Chancy differs from itself at step 70"):
        sampled_landscape(nn.Linear(2, 2), hidden, 4, n=100)
    fine, seeds = GymEnvironment(late(lambda env: env.np_random.normal()), horizon=90), torch.arange(2)
    rollout(nn.Linear(2, 2), fine, seeds).check_replay(fine, seeds)  # negative control


def test_an_observation_is_a_copy():
    def step(env, action):
        env.held[0] += 1
        return env.held, 1.0, False, False, {}

    def reset(self, *, seed=None, options=None):
        self.held, self.acted = np.zeros(2, np.float32), []
        return self.held, {}

    found = rollout(nn.Linear(2, 2), GymEnvironment(odd(reset=reset, step=step), horizon=3), torch.arange(1))
    assert found.observations[0, :, 0].tolist() == [0, 1, 2]


def test_wrappers_are_played_and_a_store_knows_an_environment_as_before():
    wrapped = gymnasium.wrappers.TransformReward
    assert played(lambda: wrapped(odd()(), lambda gain: 3 * gain))[0] == [3, 3, 3]
    flat = gymnasium.wrappers.FlattenObservation
    both = spaces.Dict({"a": spaces.Box(0, 9, (1,)), "b": spaces.Discrete(2)})
    make = odd(both, first=lambda env: {"a": [7.0], "b": 1}, then=lambda *_: {"a": [8.0], "b": 0})
    assert played(lambda: flat(make()))[1].observations.tolist() == [[8, 1, 0]]  # the remedy that is told works
    shown = repr(GymEnvironment("CartPole-v1"))
    known = "horizon=500, discount=0.99, actions=Discrete(count=2), shape=torch.Size([4])"
    assert shown == f"GymEnvironment(make='CartPole-v1', {known})"


def test_policies_that_counted_otherwise_are_refused():
    import stable_baselines3

    for make, told in (
        (odd(acts=spaces.Discrete(2, start=3)), "action_space starts at 3"),
        (odd(acts=spaces.MultiDiscrete([2, 2])), "actions of kind MultiDiscrete"),
    ):
        algorithm = stable_baselines3.PPO("MlpPolicy", make(), n_steps=8, batch_size=8, device="cpu")
        with pytest.raises(tw.InputError, match=told):
            from_sb3(algorithm)


def tabled(table, start=(1.0, 0.0), states=None, actions=None, called="Tabled"):
    """An environment of a table."""
    parts = {
        "P": table,
        "observation_space": states or spaces.Discrete(2),
        "action_space": actions or spaces.Discrete(1),
    }
    return type(
        called, (gymnasium.Env,), parts | ({} if start is None else {"initial_state_distrib": np.asarray(start)})
    )


def value(make, discount=0.9):
    mdp, reward = process(make, discount)
    return float(mdp.optimal(reward).value @ mdp.start), mdp.states


END = [(1.0, 1, 1.0, True)]
HALF = [(0.5, 0, 1.0, False), (0.5, 1, 1.0, False)]
STAY = {0: [(1.0, 1, 0.0, False)]}


@pytest.mark.parametrize(
    ("table", "start", "right", "states"),
    [
        # the state that a step ends in is the one that it goes on from: each step pays 1 and goes on at 0.9
        ({0: {0: [(0.9, 0, 1.0, False), (0.1, 0, 1.0, True)]}, 1: STAY}, [1, 0], 1 / (1 - 0.81), 3),
        # an end in the state that all start in: one step
        ({0: {0: [(1.0, 1, 1.0, False)]}, 1: {0: [(1.0, 0, 1.0, True)]}}, [1, 0], 1.9, 3),
        # the same state from one step as an end and from another not, by two actions of which the longer is better
        ({0: {0: END, 1: [(1.0, 1, 1.0, False)]}, 1: {0: [(1.0, 1, 1.0, False)], 1: HALF}}, [1, 0], 10, 3),
        # nothing but ends: no state more
        ({0: {0: [(1.0, 1, 1.0, True)]}, 1: {0: [(1.0, 1, 5.0, False)]}}, [1, 0], 1, 2),
        # an end of no chance is none
        ({0: {0: [(1.0, 1, 1.0, False), (0.0, 1, 1.0, True)]}, 1: {0: [(1.0, 1, 1.0, False)]}}, [1, 0], 10, 2),
        # an end that steps of states out of reach go on from absorbs, as in Taxi
        ({0: {0: [(1.0, 1, 1.0, True)]}, 1: {0: [(1.0, 0, 9.0, False)]}}, [1, 0], 1, 2),
        # chances of single precision
        ({0: {0: [(np.float32(1 / 3), 0, 3.0, False)] * 3}, 1: STAY}, [1, 0], 30, 2),
        # one state in several rows
        ({0: {0: [(0.5, 1, 1.0, True), (0.5, 1, 3.0, True)]}, 1: STAY}, [1, 0], 2, 2),
    ],
)  # fmt: skip
def test_values_of_tables_are_those_by_hand(table, start, right, states):
    found, size = value(tabled(table, start, actions=spaces.Discrete(len(table[0]))))
    assert found == pytest.approx(right, rel=1e-7)
    assert size == states


def test_a_table_counts_as_its_spaces_do():
    table = {5: {-1: [(1.0, 6, 1.0, False)]}, 6: {-1: [(1.0, 6, 2.0, False)]}}
    make = tabled(table, states=spaces.Discrete(2, start=5), actions=spaces.Discrete(1, start=-1))
    assert value(make)[0] == pytest.approx(1 + 0.9 * 20, rel=1e-12)


def rows(*of):
    return tabled({0: {0: list(of)}, 1: STAY})


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (rows((0.5, 1, 1.0, False)), "P[0][0], its chances sums to 0.5"),
        (rows((0.5, 1, 1.0, False), (0.6, 0, 1.0, False)), "sums to 1.1"),
        (rows((-0.5, 1, 1.0, False), (1.5, 0, 1.0, False)), "a chance of -0.5"),
        (rows((np.nan, 1, 1.0, False)), "a chance of nan"),
        (rows(("1", 1, 1.0, False)), "a chance of '1'"),
        (rows((1.0, 2, 1.0, False)), "leads to 2: give a state, a whole number 0 to 1"),
        (rows((1.0, -1, 1.0, False)), "leads to -1"),
        (rows((1.0, 0.5, 1.0, False)), "leads to 0.5"),
        (rows((1.0, None, 1.0, False)), "leads to None"),
        (rows((1.0, 1, np.nan, False)), "a reward of nan"),
        (rows((1.0, 1, None, False)), "a reward of None"),
        (rows((1.0, 1, True, 1)), "a reward of True"),
        (rows((1.0, 1, "1", False)), "a reward of '1'"),
        (rows((1.0, 1, 1.0, None)), "an end of None"),
        (rows((1.0, 1, 1.0, 0.5)), "an end of 0.5"),
        (rows((1.0, 1, 1.0)), "give (chance, next state, reward, end)"),
        (rows((1.0, 1, 1.0, False, False)), "give (chance, next state, reward, end)"),
        (rows(3), "holds 3"),
        (rows(), "is []"),
        (tabled({0: {0: HALF}}), "P has no 1"),
        (tabled({0: {}, 1: STAY}), "P[0] has no 0"),
        (tabled({0: {0: HALF}, 1: STAY, 2: STAY}), "P has 2, which is not in its space"),
        (tabled({0: {0: HALF, 1: HALF}, 1: STAY}), "P[0] has 1, which is not in its space"),
        (tabled([{0: HALF}, STAY]), "P is a list"),
        (tabled({0: [HALF], 1: STAY}), "P[0] is a list"),
        (tabled({0: {0: HALF}, 1: STAY}, start=None), "no initial_state_distrib"),
        (tabled({0: {0: HALF}, 1: STAY}, start=[0.5, 0.4]), "initial_state_distrib sums to 0.9"),
        (tabled({0: {0: HALF}, 1: STAY}, start=[1.0]), "initial_state_distrib has shape (1,)"),
        (tabled({0: {0: HALF}, 1: STAY}, start=["a", "b"]), "initial_state_distrib is no array of numbers"),
        (tabled({0: {0: HALF}, 1: STAY}, states=PLANE), "observation_space of kind Box"),
        (tabled({0: {0: HALF}, 1: STAY}, actions=PLANE), "action_space of kind Box"),
        (tabled({}, states=spaces.Discrete(10**6)), "too many for a table"),
    ],
)
def test_tables_that_are_none_are_refused(make, told):
    with pytest.raises(tw.InputError) as error:
        process(make, 0.9)
    line = str(error.value)
    assert "environment Tabled" in line
    assert told in line, line
    assert "\n" not in line


def test_wrappers_that_a_table_does_not_know_are_refused():
    make = tabled({0: {0: HALF}, 1: STAY})
    assert value(lambda: gymnasium.wrappers.TimeLimit(make(), 5)) == value(make)
    with pytest.raises(tw.InputError, match="wrapped by TransformReward, which its table does not know"):
        process(lambda: gymnasium.wrappers.TransformReward(make(), lambda gain: 2 * gain), 0.9)
    with pytest.raises(tw.InputError, match="fickle passenger"):
        process(lambda: gymnasium.make("Taxi-v4", fickle_passenger=True), 0.9)


@pytest.mark.parametrize(
    ("key", "right"), [("FrozenLake-v1", 0.5420259320), ("CliffWalking-v1", -sum(0.99**t for t in range(13)))]
)
def test_tables_of_gymnasium_keep_their_values(key, right):
    assert value(key, 0.99)[0] == pytest.approx(right, rel=1e-9)


def test_choices_are_still_numbered_from_zero():
    assert GymEnvironment(odd(acts=spaces.Discrete(3, start=-1)), horizon=3).actions == Discrete(3)
