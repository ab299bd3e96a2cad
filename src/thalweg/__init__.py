"""Thalweg: measure and map how learning machines develop.

import thalweg as tw

landscape = tw.landscape(module, (inputs, targets), loss=F.cross_entropy)
estimate = tw.estimate_llc(landscape)
series = tw.checkpoints("runs/grok")
survey = tw.survey(landscape, series, out="grok.zarr")
tw.atlas(survey, "grok.html")
"""

import os

# Before the first product: sums in an order that does not depend on memory alignment.
os.environ.setdefault("MKL_CBWR", "AVX2")

import sys
from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thalweg.atlas import atlas, plot
    from thalweg.checkpoints import checkpoints
    from thalweg.errors import InputError, ThalwegError, UnhealthyError
    from thalweg.estimators import Auto, estimate_llc, posterior_losses
    from thalweg.landscape import Estimate, Landscape, Trace, landscape, potential
    from thalweg.mdp import MDP, return_range, reward_distance, worst_regret
    from thalweg.phases import Transition, transitions
    from thalweg.samplers import Settings
    from thalweg.store import Survey, open_survey
    from thalweg.survey import survey
    from thalweg.types import Verdict

__all__ = [
    "MDP",
    "Auto",
    "Estimate",
    "InputError",
    "Landscape",
    "Settings",
    "Survey",
    "ThalwegError",
    "Trace",
    "Transition",
    "UnhealthyError",
    "Verdict",
    "atlas",
    "checkpoints",
    "estimate_llc",
    "landscape",
    "open_survey",
    "plot",
    "posterior_losses",
    "potential",
    "return_range",
    "reward_distance",
    "survey",
    "transitions",
    "worst_regret",
]

__version__ = version("thalweg")

_ROOMS = {  # public name -> room; a room is entered when its name is first used
    "MDP": "mdp",
    "Auto": "estimators",
    "Estimate": "landscape",
    "InputError": "errors",
    "Landscape": "landscape",
    "Settings": "samplers",
    "Survey": "store",
    "ThalwegError": "errors",
    "Trace": "landscape",
    "Transition": "phases",
    "UnhealthyError": "errors",
    "Verdict": "types",
    "atlas": "atlas",
    "checkpoints": "checkpoints",
    "estimate_llc": "estimators",
    "landscape": "landscape",
    "open_survey": "store",
    "plot": "atlas",
    "posterior_losses": "estimators",
    "potential": "landscape",
    "return_range": "mdp",
    "reward_distance": "mdp",
    "survey": "survey",
    "transitions": "phases",
    "worst_regret": "mdp",
}


_DOORS = (
    "certificates",
    "envs",
    "estimators",
    "irl",
    "mdp",
    "phases",
    "rl",
    "surfaces",
    "theory",
    "values",
)  # rooms that are used by their own names, as in tw.theory.deep_linear


class _Package(ModuleType):
    """The package: a public name is the thing, also where a room has the same name."""

    def __getattribute__(self, name: str) -> Any:
        room = _ROOMS.get(name)
        if room is None:
            return super().__getattribute__(name)
        return getattr(import_module(f"thalweg.{room}"), name)

    def __getattr__(self, name: str) -> Any:
        if name in _DOORS:
            return import_module(f"thalweg.{name}")
        raise AttributeError(f"module 'thalweg' has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        return sorted({"__doc__", "__version__", *_ROOMS, *_DOORS})


sys.modules[__name__].__class__ = _Package
