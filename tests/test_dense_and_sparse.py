"""Transitions, dense and sparse: every method answers the same, and no method is on one side alone."""

import numpy as np
import pytest
import scipy.sparse as sparse
import torch

import thalweg as tw
from thalweg.mdp._transitions import Dense, Sparse

RNG = np.random.default_rng(0)
MOVES = RNG.dirichlet(np.ones(5), size=(5, 3)) * (RNG.random((5, 3, 5)) < 0.6)
MOVES[..., 0] += 0.1
MOVES /= MOVES.sum(-1, keepdims=True)
POLICIES = torch.softmax(torch.as_tensor(RNG.normal(size=(4, 5, 3))), -1)
GAINS = torch.as_tensor(RNG.normal(size=(4, 5, 3)))
VALUES = torch.as_tensor(RNG.normal(size=(4, 5)))
STEPS = torch.as_tensor(RNG.normal(size=(5, 3, 5)))
START = torch.full((5,), 0.2, dtype=torch.float64)

ASKED = {
    "chances": lambda x: x.chances,
    "rows": lambda x: torch.as_tensor(x.rows.toarray()),
    "matrix": lambda x: torch.as_tensor(x.matrix @ VALUES[0].numpy()),
    "terms": lambda x: torch.tensor(x.terms),
    "expected": lambda x: x.expected(VALUES),
    "mean": lambda x: x.mean(STEPS),
    "deviation": lambda x: x.deviation(VALUES[0], x.expected(VALUES[0])),
    "onward": lambda x: x.onward(POLICIES[0]),
    "solve": lambda x: x.solve(POLICIES, GAINS, 0.9),
    "visits": lambda x: x.visits(POLICIES, START, 0.9),
    "sums": lambda x: x.sums(POLICIES, GAINS[:2], 0.9),
    "solver": lambda x: x.solver(POLICIES, 0.9)(VALUES),
}


def both(moves):
    """The two descriptions of one process."""
    thin = [sparse.csr_matrix(moves[:, a]) for a in range(3)]
    return tuple(tw.MDP(given, START, 0.9).dynamics for given in (moves, thin))


@pytest.mark.parametrize("name", ASKED)
def test_both_answer_the_same(name):
    dense, thin = both(MOVES)
    assert isinstance(dense, Dense)
    assert isinstance(thin, Sparse)
    found = ASKED[name](dense)
    torch.testing.assert_close(ASKED[name](thin), found, rtol=0, atol=1e-12)
    if name != "terms":  # negative control: another process answers otherwise
        other = ASKED[name](both(np.roll(MOVES, 1, 0))[1])
        assert not torch.allclose(other, found, rtol=0, atol=1e-3)


def test_none_has_a_method_of_its_own():
    public = [{name for name in dir(each) if not name.startswith("_")} for each in both(MOVES)]
    assert public[0] == public[1]
    assert public[0] - set(ASKED) == {"states", "actions", "dense", "held", "entries", "same"}
