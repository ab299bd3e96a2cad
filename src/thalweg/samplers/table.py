"""The samplers by name: ours, and those from outside. A new one joins it, and the table of laws."""

from thalweg.registry import Registry
from thalweg.samplers import hmc, mala, rmsprop_sgld, sghmc, sgld
from thalweg.samplers.algorithm import Algorithm

ALGORITHMS: Registry[Algorithm] = Registry(  # by the name that `Settings.sampler` takes
    "sampler",
    "thalweg.samplers",
    {
        "sgld": sgld.ALGORITHM,
        "rmsprop_sgld": rmsprop_sgld.ALGORITHM,
        "sghmc": sghmc.ALGORITHM,
        "mala": mala.ALGORITHM,
        "hmc": hmc.ALGORITHM,
    },
    lambda thing: isinstance(thing, Algorithm),
    "an Algorithm of thalweg.samplers",
)
