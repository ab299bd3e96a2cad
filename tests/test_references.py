"""The sampler of the reference values, held to exact values of its own, and the values it left."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
NBETA = 2000.0  # K = |W_2 W_1|^2 / 2


def load():
    """A fresh copy, so that a control may break it."""
    spec = importlib.util.spec_from_file_location("references", ROOT / "benchmarks" / "references.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wishart(outputs: int) -> float:
    """Exact nbeta E[K] at w* = 0, gamma = 1, of two layers of widths 2-2-outputs, by quadrature.

    W_2 integrates out: the eigenvalues x, y of W_1 W_1^T keep Wishart's density |x - y| exp(-(x + y) / 2) / sqrt(xy)
    times ((1 + nbeta x)(1 + nbeta y))^(-outputs / 2), and nbeta E[K | x, y] is the sum of
    (outputs / 2) nbeta x / (1 + nbeta x).
    """
    nodes, weights = np.polynomial.legendre.leggauss(1000)
    x = np.exp(25 * nodes - 20)  # from e^-45 to e^5
    density = weights * x**0.5 * np.exp(-x / 2) * (1 + NBETA * x) ** (-outputs / 2)
    seen = outputs / 2 * NBETA * x / (1 + NBETA * x)
    joint = density[:, None] * density * abs(x[:, None] - x)
    return float((joint * (seen[:, None] + seen)).sum() / joint.sum())


def z(module, outputs: int, seed: int = 0, blocks: int = 3) -> float:
    """Standard errors between the sampler and the exact value."""
    module.BLOCK = 300
    posterior = module.Case(module.identities((2, 2, outputs), 0), NBETA)
    samples = module.sample(posterior, 512, seed)
    seen = module.summarise([next(samples) for _ in range(blocks)][-1])
    assert seen.rhat < 1.01
    return (seen.value - wishart(outputs)) / seen.stderr


def test_wishart_values():  # K = |W_2 W_1|^2 at n = 1000, known to four digits
    assert wishart(2) == pytest.approx(1.456, abs=5e-4)
    assert wishart(3) == pytest.approx(1.843, abs=5e-4)


@pytest.mark.parametrize("outputs", [2, 3])
def test_block_gibbs_has_the_exact_value(outputs):
    assert abs(z(load(), outputs)) < 4


def test_the_test_can_fail_by_the_jacobian():  # of the orbit move; at 2-2-2 it is 1
    module = load()
    module.log_jacobian = lambda c, columns, rows: 0 * c
    assert abs(z(module, outputs=3)) > 6


def test_the_test_can_fail_by_the_variance():
    module = load()
    right = module.gaussian

    def wide(*args):
        mean, draw, p = right(*args)
        return mean, mean + 1.2 * (draw - mean), p

    module.gaussian = wide
    assert abs(z(module, outputs=2)) > 6


def test_every_reference_is_sharp():
    entries = json.loads((ROOT / "src" / "thalweg" / "check" / "references.json").read_text())
    assert set(entries) >= set(load().NAMES)  # others come from references_general
    for name, entry in entries.items():
        assert 0 < entry["stderr"] <= 0.005 * entry["value"], name
