"""Products with the Hessian, and its log determinant, against dense matrices."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call, hessian

import thalweg as tw
from conftest import Net, classes
from thalweg.estimators import log_determinant
from thalweg.estimators._hessian import Hessian
from thalweg.landscape import measure


def parabola(stiff):
    return tw.potential(lambda p: 0.5 * (stiff * p["w"].square()).sum(), {"w": torch.zeros(len(stiff)).double()}, 100)


def test_of_a_parabola_with_few_stiffnesses_it_is_exact():  # Lanczos is, with as many steps as eigenvalues
    stiff = torch.tensor([0.0, 0.5, 3.0, 40.0]).double().repeat(25)
    scape = parabola(stiff)
    found = log_determinant(scape, measure(scape), nbeta=50.0, gamma=2.0)
    assert found == pytest.approx(torch.log1p(25 * stiff).sum().item(), rel=1e-9)


def test_negative_curvature_does_not_count():
    scape = parabola(torch.tensor([4.0, -3.0]).double())
    found = log_determinant(scape, measure(scape), nbeta=10.0, gamma=1.0)
    assert found == pytest.approx(torch.log1p(torch.tensor(40.0).double()).item())


@pytest.fixture(scope="module")
def net():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        module = Net().double()
    inputs, targets = classes()
    return tw.landscape(module, (inputs.double(), targets), F.cross_entropy)


def dense(scape):
    inputs, targets = scape.data.take(slice(0, None))
    names, layout = list(scape.params), scape.layout
    module = Net().double()

    def loss(flat):
        return F.cross_entropy(functional_call(module, layout.unflatten(flat), (inputs,)), targets)

    assert names
    return hessian(loss)(layout.flatten(scape.params))


def test_products_are_those_of_the_dense_hessian(net):
    center = measure(net)
    v = torch.randn(center.params.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(Hessian(net, center, center.params).product(v), dense(net) @ v)


@pytest.mark.parametrize("orthogonal", [False, True])
def test_of_a_network_it_is_the_dense_one_within_its_probes(net, orthogonal):
    scape = net.restrict(orthogonal_to_gradient=orthogonal)
    center, matrix = measure(scape), dense(net)
    if orthogonal:
        closed = torch.eye(len(matrix)).double() - torch.outer(center.normal, center.normal)
        matrix = closed @ matrix @ closed
    truth = torch.log1p(200 * torch.linalg.eigvalsh(matrix).clamp(min=0)).sum().item()
    found = [log_determinant(scape, center, nbeta=200.0, gamma=1.0, seed=s) for s in range(12)]
    mean, error = torch.tensor(found).mean().item(), torch.tensor(found).std().item() / 12**0.5
    assert abs(mean - truth) < 4 * error
    assert 12**0.5 * error < 0.2 * truth
    other = torch.log1p(400 * torch.linalg.eigvalsh(matrix).clamp(min=0)).sum().item()
    assert abs(mean - other) > 4 * error  # it can fail: twice the temperature


def test_a_hessian_that_is_not_finite_gives_no_number_and_no_error():
    scape = tw.potential(lambda p: p["w"].abs().pow(1.5).sum(), {"w": torch.zeros(5)}, 100)
    assert math.isnan(log_determinant(scape, measure(scape), nbeta=10.0, gamma=1.0))


def test_a_loss_without_a_second_derivative_is_refused_in_words():
    others = torch.zeros(2, 4)

    def fn(p):  # torch has no second derivative of distances
        return torch.cdist(p["w"].reshape(1, 4), others, p=3).square().sum()

    scape = tw.potential(fn, {"w": torch.ones(4)}, 100)
    with pytest.raises(tw.InputError, match="leave log_determinant out"):
        log_determinant(scape, measure(scape), nbeta=10.0, gamma=1.0)


def test_it_needs_a_localization(net):
    with pytest.raises(tw.InputError, match="gamma above 0"):
        log_determinant(net, measure(net), nbeta=10.0, gamma=0.0)
