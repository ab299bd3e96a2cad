"""The leapfrog rule against its own matrix on a quadratic, and back the way it came."""

import torch

from thalweg.samplers import acceptance, kinetic, leapfrog

A, H, LEAPS = 3.0, 0.3, 7
W, P = (torch.randn(5, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) for seed in (0, 1))


def force(w):
    return A * w, 0.5 * A * w.square().sum(1)


def followed(w, p, finer=1):
    h = torch.tensor(H / finer, dtype=torch.float64)
    w, p, _, seen = leapfrog(w, p, A * w, force, h, LEAPS * finer)
    return w, p, seen


def test_a_trajectory_is_a_power_of_the_rules_matrix():
    kick, drift = torch.tensor([[1, 0], [-H * A / 2, 1]]).double(), torch.tensor([[1, H], [0, 1]]).double()
    whole = torch.linalg.matrix_power(kick @ drift @ kick, LEAPS)
    w, p, seen = followed(W, P)
    torch.testing.assert_close(torch.stack([w, p]), torch.einsum("ij,jrd->ird", whole, torch.stack([W, P])))
    assert torch.equal(seen, force(w)[1])
    whole = torch.linalg.matrix_power(drift @ kick @ kick, LEAPS)  # Euler's: the test can fail
    assert not torch.allclose(w, torch.einsum("j,jrd->rd", whole[0], torch.stack([W, P])), rtol=1e-3)


def test_turned_round_it_comes_back_and_energy_misses_by_the_square_of_the_step():
    w, p, _ = followed(W, P)
    back, turned, _ = followed(w, -p)
    torch.testing.assert_close((back, turned), (W, -P))

    def off(finer):
        _, p, seen = followed(W, P, finer)
        return (seen + kinetic(p) - force(W)[1] - kinetic(P)).abs().max()

    assert 3.9 < off(100) / off(200) < 4.1


def test_what_is_no_number_is_refused():
    change = torch.tensor([-1.0, 0.0, 1.0, float("nan"), float("inf")])
    assert torch.equal(acceptance(change), torch.tensor([1.0, 1.0, torch.tensor(-1.0).exp().item(), 0.0, 0.0]))
