"""The worst regret of a nearly optimal Bob on slippery grids: how tight, how fast, in how much memory.

Three goals pay 1, 0.7 and -1; Bob's reward is Alice's with Gaussian noise of 0.3 of its standard deviation, and he is
2 % of his own range from his optimum. One size in one run, so that the peak of memory is its own.
"""

import argparse
import resource
import time
from typing import Literal

import numpy as np
import scipy.sparse as sparse

import thalweg as tw
from thalweg.certificates import Bob, KnownReward, certify
from thalweg.mdp import plan

MOVES = ((-1, 0), (1, 0), (0, -1), (0, 1))
SLIP, NOISE, SHORT = 0.1, 0.3, 0.02


def grid(size: int, discount: float) -> tw.MDP:
    """A square of cells; a move slips to one of the other three with chance `SLIP`."""
    states = size * size
    row, column = np.divmod(np.arange(states), size)
    after = [np.clip(row + r, 0, size - 1) * size + np.clip(column + c, 0, size - 1) for r, c in MOVES]
    steps = [sparse.csr_matrix((np.ones(states), (np.arange(states), to)), shape=(states, states)) for to in after]
    moves = [sum(steps[b] * (1 - SLIP if a == b else SLIP / 3) for b in range(4)) for a in range(4)]
    return tw.MDP(moves, np.full(states, 1 / states), discount)


def rewards(states: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Alice's and Bob's, each (S,)."""
    rng = np.random.default_rng(seed)
    alice = np.zeros(states)
    alice[rng.choice(states, 3, replace=False)] = 1, 0.7, -1
    return alice, alice + NOISE * alice.std() * rng.normal(size=states)


def main(
    size: int, seeds: int, tolerance: float, method: Literal["dual", "programme"], discount: float, whole: bool
) -> None:
    """Print a line for each seed, then the peak of memory."""
    began = time.perf_counter()
    mdp = grid(size, discount)
    print(f"{mdp.states:,} states, built in {time.perf_counter() - began:.1f} s, tolerance {tolerance:g}, {method}")
    for seed in range(seeds):
        alice, bob = rewards(mdp.states, seed)
        start = mdp.start.numpy()
        size_of_bob = sum(plan(mdp, r).returns(start)[1] for r in (bob, -bob))
        began = time.perf_counter()
        found = tw.worst_regret(mdp, alice, bob, SHORT * size_of_bob, method=method, tolerance=tolerance)
        spent = time.perf_counter() - began
        print(
            f"seed {seed}: worst regret {100 * found.value:.4f} % of the range, gap {found.gap:.1e},"
            f" {found.evaluations} multipliers, {spent:.2f} s"
        )
        if whole:
            began = time.perf_counter()
            issued = certify(
                KnownReward(alice), Bob(reward=bob, suboptimality=SHORT * size_of_bob), grid(size, discount)
            )
            print(f"seed {seed}: {issued.summary} {time.perf_counter() - began:.2f} s")
    print(f"peak of memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=40, help="cells along a side")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--method", default="dual", choices=("dual", "programme"))
    parser.add_argument("--discount", type=float, default=0.95)
    parser.add_argument("--certify", action="store_true", help="the whole certificate too, of a process read anew")
    given = parser.parse_args()
    main(given.size, given.seeds, given.tolerance, given.method, given.discount, given.certify)
