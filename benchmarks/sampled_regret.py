"""The coefficient of sampled regret against that of exact regret, at ten checkpoints of one run.

A mouse in a world of 4 x 4 cells learns by exact gradient; both landscapes are surveyed with the same sampler,
the sampled one on batches of 512 of 20,000 seeds, rolled out at every step.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import thalweg as tw
from thalweg.checkpoints import save
from thalweg.envs import Played
from thalweg.envs.corner import Mouse, corner
from thalweg.rl import Ascent, ascend, regret_landscape, sampled_landscape

HIDDEN, TEMPERATURE = (16,), 0.05


def main(seed: int) -> None:
    """Train, survey twice, compare."""
    world = corner(6, alpha=0.2, discount=0.9, horizon=16)
    ascent = Ascent(updates=330, learning_rate=0.005, levels=8, every=30, temperature=TEMPERATURE)
    with TemporaryDirectory() as folder:
        for moment in ascend(lambda: Mouse(6, HIDDEN), world, ascent, [seed]):
            if moment.step >= 60:
                save(moment.weights[0], Path(folder) / "run", moment.step)
        policy = Mouse(6, HIDDEN)
        exact = regret_landscape(policy, world, n=10_000, temperature=TEMPERATURE)
        sampled = sampled_landscape(policy, Played(world), 20_000, n=10_000, temperature=TEMPERATURE, name="mouse")
        how = tw.Settings(chains=4, burn_in=100, draws=400, step_size=2e-3, gamma=100.0, nbeta=100.0, batch_size=512)
        found = [
            tw.survey(
                scape.restrict(orthogonal_to_gradient=True), Path(folder) / "run", Path(folder) / name, settings=how
            )
            for name, scape in (("exact.zarr", exact), ("sampled.zarr", sampled))
        ]
        values, errors = (np.stack([f.column(name) for f in found]) for name in ("llc", "llc_stderr"))
        joint = np.hypot(*errors)
        agree = np.abs(values[0] - values[1]) <= 1.96 * joint
        print("update  exact           sampled         distance in joint errors")
        for step, (a, b), (s, t), d in zip(found[0].column("step"), values.T, errors.T, joint, strict=True):
            print(f"{step:6} {a:7.3f} ± {s:.3f} {b:7.3f} ± {t:.3f}  {(b - a) / d:+.2f}")
        print(f"{agree.sum()} of {len(agree)} within 1.96 joint errors")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    main(parser.parse_args().seed)
