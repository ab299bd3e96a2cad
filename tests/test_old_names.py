"""Names, keywords and keys of 0.1 work until 0.3.0, and say what they are called today."""

import warnings
from importlib import import_module

import pytest
import torch

import thalweg as tw
from thalweg.agents import agent_file
from thalweg.certificates import StatedPolicy
from thalweg.irl import Boltzmann
from thalweg.old_names import NAMES, ROOMS

MOVED = {
    "values.reward_distance": "mdp",
    "rl.surface": "surfaces",
    "rl.GymEnvironment": "envs",
    "values.Linear": "irl",
}


@pytest.mark.parametrize("old", [*NAMES, *MOVED])
def test_a_name_of_01_is_the_thing_of_today(old):
    room, name = old.split(".")
    with pytest.warns(DeprecationWarning, match=f"thalweg.{old} is thalweg"):
        thing = getattr(import_module(f"thalweg.{room}"), name)
    assert thing.__name__ == NAMES.get(old, name)
    assert any(thing in vars(import_module(f"thalweg.{home}")).values() for home in (room, *ROOMS[room]))


def test_a_name_that_never_was_is_none():
    for room in ROOMS:
        with pytest.raises(AttributeError, match="gone"):
            import_module(f"thalweg.{room}").gone  # noqa: B018


def test_keywords_of_01_are_those_of_today():
    scape = tw.landscape(torch.nn.Linear(2, 1), (torch.randn(8, 2), torch.randn(8, 1)), loss="mse")
    for call, told in (
        (lambda: Boltzmann(sharpness=3.0).inverse_temperature == 3.0, "sharpness= is inverse_temperature= now"),
        (
            lambda: StatedPolicy(None, rule=Boltzmann(1.0)).choice_model == Boltzmann(1.0),
            "rule= is choice_model= now",
        ),
        (lambda: tw.Settings(leaps=3).leapfrog_steps == 3, "leaps= is leapfrog_steps= now"),
        (lambda: scape.restrict(tether={"weight": 2.0}).localization is not None, "tether= is localization= now"),
    ):
        with pytest.warns(DeprecationWarning, match=told):
            assert call()


def test_keys_of_agent_files_of_01_are_those_of_today(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text('policy = "optimal"\n[drift]\nreward = 0.5\n')
    with pytest.warns(DeprecationWarning, match="drift is model_error now"):
        assert agent_file(path).model_error.reward == 0.5
    path.write_text('[answers]\nlog_policy = "p"\nsharpness = 2.0\ninverse_temperature = 2.0\n')
    with pytest.raises(tw.InputError, match="sharpness: it is inverse_temperature now"):
        agent_file(path)


def test_names_of_today_warn_nobody():  # negative control
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Boltzmann(inverse_temperature=1.0) == Boltzmann(1.0)
        assert tw.mdp.reward_distance is tw.reward_distance
