"""Ranks, against algebra: reduced rank regression, monomials, networks with symmetries."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import thalweg as tw
from thalweg.errors import InputError
from thalweg.estimators import bounds, null_directions, rank

DOUBLE = torch.float64


def potential(fn, *center):
    return tw.potential(lambda p: fn(*p["w"]), {"w": torch.tensor(center, dtype=DOUBLE)}, 1000)


def product(first, second, noise=0.0, samples=60, dtype=DOUBLE):
    """The landscape of y = B A x at (A, B), on its own outputs as targets, with noise or without."""
    g = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Linear(*first.T.shape, bias=False), nn.Linear(*second.T.shape, bias=False)).to(dtype)
    net.load_state_dict({"0.weight": first, "1.weight": second})
    x = torch.randn(samples, first.shape[1], generator=g, dtype=DOUBLE).to(dtype)
    y = net(x).detach()
    return tw.landscape(net, (x, y + noise * torch.randn(y.shape, generator=g, dtype=DOUBLE).to(dtype)), F.mse_loss)


def generic(m, h, n, **kwargs):
    g = torch.Generator().manual_seed(1)
    make = (torch.randn(*shape, generator=g, dtype=DOUBLE) for shape in ((h, m), (n, h)))
    return product(*(w.to(kwargs.get("dtype", DOUBLE)) for w in make), **kwargs)


def learning_coefficient(m, h, n, r):
    """Aoyagi and Watanabe 2005, in the case of each of the sizes below."""
    if n + r <= m + h and m + r <= n + h and h + r <= m + n:
        s = -((h + r) ** 2) - m**2 - n**2 + 2 * (h + r) * (m + n) + 2 * m * n
        return (s + s % 2) / 8
    if m + h < n + r:
        return (h * m - h * r + n * r) / 2
    if n + h < m + r:
        return (h * n - h * r + m * r) / 2
    return m * n / 2


SIZES = [(2, 2, 2), (3, 2, 3), (4, 2, 3), (5, 3, 5), (2, 3, 2), (6, 1, 4)]


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize(("kind", "dtype"), [("jacobian", DOUBLE), ("jacobian", torch.float32), ("hessian", DOUBLE)])
def test_a_generic_product_of_matrices_has_rank_h_times_m_plus_n_minus_h(sizes, kind, dtype):
    m, h, n = sizes
    found = rank(generic(m, h, n, dtype=dtype), kind)
    r = min(m, h, n)  # wider than that, all M N entries of the product move freely
    assert found.rank == r * (m + n - r)
    assert found.dimension == h * (m + n)
    assert found.negative == 0
    assert found.gap > (1e6 if dtype == DOUBLE else 1e2)


def test_fisher_rank_is_that_of_the_jacobian_where_there_is_noise():
    scape = generic(4, 2, 3, noise=0.5, samples=200)
    fisher, jacobian = rank(scape), rank(scape, "jacobian")
    assert fisher.rank == jacobian.rank == 2 * (4 + 3 - 2)
    for noise in (0.0, 1e-15):  # at an interpolating minimum they all vanish, up to rounding
        with pytest.raises(InputError, match='kind="jacobian"'):
            rank(generic(4, 2, 3, noise=noise))


def test_singular_values_are_those_of_the_fisher_matrix():
    scape = generic(3, 2, 2, noise=1.0, samples=300)
    net, (x, y) = scape.losses.module, (scape.data.inputs, scape.data.targets)
    rows = []
    for a, b in zip(x, y, strict=True):
        weights = {k: w.detach().requires_grad_() for k, w in scape.params.items()}
        loss = F.mse_loss(torch.func.functional_call(net, weights, (a,)), b, reduction="sum")
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(weights.values()))]))
    fisher = torch.stack(rows).T @ torch.stack(rows) / len(rows)
    expected = torch.linalg.eigvalsh(fisher).flip(0).numpy()
    kept = rank(scape).rank
    assert rank(scape).singular_values[:kept] ** 2 == pytest.approx(expected[:kept], rel=1e-9)
    curved = rank(generic(3, 2, 2), "hessian").singular_values  # (y - f)^2 has twice the curvature of its half
    assert curved[:kept] == pytest.approx(2 * rank(generic(3, 2, 2), "jacobian").singular_values[:kept] ** 2)


def test_a_shift_of_all_logits_counts_for_outputs_and_not_for_losses():
    g = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 3)).double()
    net.load_state_dict({k: torch.randn(w.shape, generator=g) for k, w in net.state_dict().items()})
    x, y = torch.randn(300, 3, generator=g, dtype=DOUBLE), torch.randint(3, (300,), generator=g)
    scape = tw.landscape(net, (x, y), F.cross_entropy)
    assert rank(scape, "jacobian").rank == 31
    assert rank(scape, "fisher").rank == 31 - 5  # a shift for each hidden unit and the bias


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("r", [0, 1])
def test_lambda_lies_between_half_the_rank_and_half_the_dimension(sizes, r):
    m, h, n = sizes
    first, second = torch.zeros(h, m, dtype=DOUBLE), torch.zeros(n, h, dtype=DOUBLE)
    first[:r, :r] = second[:r, :r] = torch.eye(r, dtype=DOUBLE)
    scape = product(first, second)
    found = rank(scape, "hessian")
    assert found.rank == r * (m + n - r) == rank(scape, "jacobian").rank  # both factors of rank r
    low, high = bounds(found.rank, found.dimension)
    assert low <= learning_coefficient(m, h, n, r) <= high


def test_bounds_can_fail_away_from_the_minimum():
    low, _ = bounds(rank(generic(5, 3, 5), "jacobian").rank, 30)
    assert low > learning_coefficient(5, 3, 5, 1) == 8


def test_a_potential_has_a_hessian_only():
    found = rank(potential(lambda a, b, c: a**2 + (2 * b**2 - c**2) + 1e-9 * a * c, 0.0, 0.0, 0.0), "hessian")
    assert (found.rank, found.negative, found.null_dimension) == (3, 1, 0)
    assert found.singular_values == pytest.approx([4, 2, 2])
    assert rank(potential(lambda a, b: (a * b) ** 2, 0.7, 0.0), "hessian").rank == 1
    assert rank(potential(lambda a, b: (a * b) ** 2, 0.0, 0.0), "hessian").rank == 0
    with pytest.raises(InputError, match="hessian"):
        rank(potential(lambda a: a**2, 0.0))


def test_a_cut_moves_the_rank_and_the_gap_shows_it():
    scape = potential(lambda a, b, c: a**2 + 1e-3 * b**2 + 1e-4 * c**2, 0.0, 0.0, 0.0)
    assert [rank(scape, "hessian", cut).rank for cut in (None, 3e-4, 0.1)] == [3, 2, 1]
    assert [rank(scape, "hessian", cut).gap for cut in (None, 3e-4, 0.1)] == pytest.approx([np.inf, 10, 1000])


def test_only_open_directions_count():
    scape = generic(4, 2, 3)
    second = scape.restrict(names="1.*")
    assert (rank(second, "jacobian").rank, rank(second, "jacobian").dimension) == (6, 6)
    mask = torch.zeros(2, 4, dtype=torch.bool)
    mask[0, 0] = mask[1, 2] = True
    masked = scape.restrict(masks={"0.weight": mask, "1.weight": torch.zeros(3, 2, dtype=torch.bool)})
    for kind in ("jacobian", "hessian"):
        assert (rank(masked, kind).rank, rank(masked, kind).dimension) == (2, 2)
    slope = potential(lambda a, b, c: a + 2 * b + (a - b) ** 2 + 0 * c, 0.0, 0.0, 0.0)
    closed = rank(slope.restrict(orthogonal_to_gradient=True), "hessian")
    assert (closed.rank, closed.dimension) == (1, 2)
    along = torch.tensor([2.0, -1.0], dtype=DOUBLE) / 5**0.5  # orthogonal to (1, 2)
    assert closed.singular_values[0] == pytest.approx(2 * float(along[0] - along[1]) ** 2)


def test_models_that_vmap_refuses_have_ranks_too():
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.out = nn.GRU(2, 3, batch_first=True), nn.Linear(3, 1)

        def forward(self, x):
            return self.out(self.rnn(x)[0][:, -1])

    with torch.random.fork_rng():
        torch.manual_seed(0)
        net, x = Last().double(), torch.randn(80, 4, 2, dtype=DOUBLE)
    scape = tw.landscape(net, (x, net(x).detach()), F.mse_loss)
    assert scape.engine == "serial"
    for kind in ("jacobian", "hessian"):  # two biases of three units in two gates enter as sums only
        assert (rank(scape, kind).rank, rank(scape, kind).null_dimension) == (61, 6)


# --------------------------------------------------------------------------------------------------- curves


def test_a_regular_minimum_has_no_null_directions():
    report = null_directions(potential(lambda a, b: a**2 + a * b + b**2, 0.0, 0.0))
    assert report.paths == ()
    assert not report.many_to_one


@pytest.mark.parametrize("power", [4, 6])
def test_a_degenerate_direction_is_not_flat_and_shows_its_power(power):
    (path,) = null_directions(potential(lambda a: a**power, 0.0)).paths
    assert not path.flat
    assert path.exponent == pytest.approx(power, abs=1e-6)
    assert path.loss_change == pytest.approx(1.0)
    assert path.output_change is None


def test_a_flat_axis_and_a_combination_that_is_not():
    (path,) = null_directions(potential(lambda a, b: (a * b) ** 2, 0.7, 0.0)).paths
    assert path.flat
    assert np.abs(path.direction) == pytest.approx([1, 0])
    cross = potential(lambda a, b: (a * b) ** 2, 0.0, 0.0)
    assert [p.flat for p in null_directions(cross).paths] == [True, True]  # the axes
    (path,) = null_directions(cross, directions=torch.tensor([[1.0, 2.0]])).paths
    assert not path.flat
    assert path.exponent == pytest.approx(4, abs=1e-6)


def test_a_curved_valley_is_followed():
    (path,) = null_directions(potential(lambda a, b: (a - b**2) ** 2, 0.0, 0.0)).paths
    assert path.flat
    assert path.displacement < 0.97  # a parabola, not its tangent
    (path,) = null_directions(potential(lambda a, b: (a - b**2) ** 2 + b**6, 0.0, 0.0)).paths
    assert not path.flat  # what is left in the null coordinate rises; the tangent alone would say 4
    assert path.exponent == pytest.approx(6, abs=0.3)
    fading = potential(lambda a, b, c: (a - b**2) ** 2 + c**2 * torch.relu(0.5 - b), 0.0, 0.0, 0.0)
    (path,) = null_directions(fading, directions=torch.tensor([[0.0, 1.0, 0.0]])).paths
    assert path.flat  # though the curvature along c is gone on the way


def gauge_point():
    return torch.eye(2, dtype=DOUBLE), torch.tensor([[1.0, 0.0], [0.5, 0.0]], dtype=DOUBLE)


@pytest.mark.parametrize("kind", ["hessian", "jacobian"])
def test_the_gauge_orbit_of_a_product_is_many_to_one(kind):
    """At rank 1 with A invertible: B A = (B G^-1)(G A), four flat directions of eight."""
    report = null_directions(product(*gauge_point()), distance=0.8, kind=kind)
    assert (report.rank.rank, report.rank.null_dimension, len(report.paths)) == (4, 4, 4)
    for path in report.paths:
        assert path.flat
        assert path.length == pytest.approx(0.8, rel=0.02)
        assert path.displacement > 0.7
        assert path.loss_change < 1e-20
        assert path.output_change < 1e-10


def test_the_map_is_many_to_one_away_from_minima_too():
    scape = product(*gauge_point(), noise=1.0)
    report = null_directions(scape, distance=0.5, kind="jacobian")
    assert len(report.paths) == 4
    assert all(path.flat and path.output_change < 1e-10 for path in report.paths)
    with pytest.raises(InputError, match="minimum"):
        null_directions(scape)


def test_the_singular_point_of_rank_one_is_degenerate_beyond_its_orbit():
    """A = B = diag(1, 0): rank 3, and the null pair (a_22, b_22) leaves (a_22 b_22)^2: lambda = 3/2 + 1/2."""
    corner = torch.diag(torch.tensor([1.0, 0.0], dtype=DOUBLE))
    scape = product(corner, corner)
    report = null_directions(scape)
    assert (report.rank.rank, len(report.paths)) == (3, 5)
    assert all(path.flat for path in report.paths)
    pair = torch.zeros(1, 8)
    pair[0, 3] = pair[0, 7] = 1.0
    (path,) = null_directions(scape, distance=0.6, directions=pair).paths
    assert not path.flat
    assert path.length == pytest.approx(0.6, rel=0.05)
    assert path.exponent == pytest.approx(4, abs=0.01)


def test_rescaling_of_relu_layers_is_flat():
    g = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU(), nn.Linear(1, 1, bias=False)).double()
    net.load_state_dict({"0.weight": torch.ones(1, 1), "2.weight": torch.full((1, 1), 0.8)})
    x = torch.randn(40, 1, generator=g, dtype=DOUBLE)
    (path,) = null_directions(tw.landscape(net, (x, net(x).detach()), F.mse_loss), distance=2.0).paths
    assert path.flat
    assert path.length == pytest.approx(2.0, rel=0.02)


def test_null_directions_keep_to_the_open_ones():
    scape = product(*gauge_point()).restrict(names="0.*")  # B of rank 1 leaves one row of A without effect
    report = null_directions(scape)
    assert (report.rank.rank, len(report.paths)) == (2, 2)
    assert all(path.flat for path in report.paths)
    cross = potential(lambda a, b: (a * b) ** 2, 0.7, 0.0)
    closed = cross.restrict(masks={"w": torch.tensor([False, True])})
    assert null_directions(closed).paths == ()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: null_directions(potential(lambda a, b: a**2 - b**2, 0.0, 0.0)), "negative"),
        (lambda: null_directions(potential(lambda a, b: a**2 + b, 0.0, 0.0)), "minimum"),
        (lambda: null_directions(potential(lambda a, b: a**2 + b, 1.0, 0.0)), "minimum"),
        (lambda: null_directions(potential(lambda a: a**4, 0.0), kind="jacobian"), "hessian"),
        (lambda: null_directions(potential(lambda a: a**4, 0.0), distance=0.0), "distance"),
        (lambda: null_directions(potential(lambda a: a**4, 0.0), directions=torch.ones(3)), r"\(K, 1\)"),
        (lambda: null_directions(potential(lambda a, b: a**2, 0.0, 0.0), directions=torch.eye(2)[:1]), "null part"),
        (lambda: rank(potential(lambda a: a**2, 0.0), "hessian", 2.0), "cut"),
        (lambda: rank(potential(lambda a: a**2, 0.0), "gradient"), "one of"),
        (lambda: rank(potential(lambda a: a.abs() ** 1.5, 0.0), "hessian"), "finite"),
        (lambda: rank(tw.potential(lambda p: p["w"].sum(), {"w": torch.zeros(2001)}, 9), "hessian"), "2001"),
        (lambda: bounds(3, 2), "rank 3"),
    ],
)
def test_wrong_input_is_refused_in_a_line(call, said):
    with pytest.raises(InputError, match=said) as caught:
        call()
    assert "\n" not in str(caught.value)
