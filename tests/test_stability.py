"""How far certificates carry: exact worst cases, attained; and agents who rewrite themselves, caught."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.special import rel_entr

import thalweg as tw
from thalweg.certificates import GeneralisationBound, Planner, reflect
from thalweg.certificates.self_modification import _augmented, _augmented_reward
from thalweg.certificates.stability import along, continued, drifted
from thalweg.errors import InputError, UnhealthyError
from thalweg.mdp import return_range


def random_mdp(rng, states=6, actions=3, discount=0.9):
    moves = rng.random((states, actions, states)) ** 3 + 1e-3
    return tw.MDP(moves / moves.sum(-1, keepdims=True), rng.dirichlet(np.ones(states)), discount)


# --- along training ---


def test_along_keeps_what_was_refused_apart():
    sick = GeneralisationBound(raw=0.3, kind="certified", delta=0.1, assumptions=(), terms={}, reasons=("too few",))
    bounds = {
        0: 0.5,
        1: sick,
        2: GeneralisationBound(raw=0.25, kind="certified", delta=0.1, assumptions=(), terms={}),
    }
    found = along([0, 1, 2], bounds.__getitem__)
    assert found.issued.tolist() == [True, False, True]
    assert found.reasons == ("", "too few", "")
    assert found.bound[[0, 2]].tolist() == [0.5, 0.25]
    assert math.isnan(found.bound[1])
    guess = along([0], lambda _: GeneralisationBound(raw=0.1, kind="predicted", delta=None, assumptions=(), terms={}))
    assert guess.reasons == ("a number that is predicted certifies nothing",)
    for wrong in ([], [0, 1]):
        with pytest.raises(InputError, match="checkpoints"):
            along(wrong, lambda _: math.nan)


# --- continued training ---


def test_continued_of_two_points_is_the_coin_that_far_from_p():
    """cert = (0, 1), p = (1 - a, a): the supremum is the q > a with kl(q||a) = kappa."""
    for a in (0.01, 0.3, 0.9):
        for kappa in (1e-12, 1e-4, 0.05):
            exact = brentq(lambda q: rel_entr(q, a) + rel_entr(1 - q, 1 - a) - kappa, a, 1, xtol=1e-15)  # noqa: B023
            found = continued([0.0, 1.0], kappa, [1 - a, a])
            assert found.value == pytest.approx(exact, rel=1e-9, abs=1e-11)
            assert found.kind == "certified"
            assert found.distribution[1] == pytest.approx(found.attained, rel=1e-12)


def test_continued_is_attained_within_kappa():
    rng = np.random.default_rng(0)
    for _ in range(200):
        size = rng.integers(2, 12)
        certs, p = rng.normal(size=size) * 10 ** rng.uniform(-6, 6), rng.dirichlet(np.full(size, 0.5))
        kappa = rng.choice([1e-300, 1e-14, 10 ** rng.uniform(-8, 1)])
        found = continued(certs, kappa, p)
        spread = np.ptp(certs)
        assert abs(found.raw - found.attained) < 1e-10 * spread
        assert rel_entr(found.distribution, p).sum() < kappa * (1 + 1e-8) + 1e-14
        assert p @ certs - 1e-12 * spread <= found.raw <= certs.max() + 1e-12 * spread


def test_continued_is_the_best_of_the_whole_simplex():
    """Brute force over distributions on three policies: none inside is above it, some is near it."""
    p, certs = np.array([0.5, 0.4, 0.1]), np.array([0.1, 0.3, 0.9])
    grid = np.linspace(0, 1, 801)
    one, two = (x.ravel() for x in np.meshgrid(grid, grid))
    q = np.stack([one, two, 1 - one - two], 1)[one + two <= 1 + 1e-12].clip(min=0)
    far = rel_entr(q, p).sum(1)
    for kappa in (0.02, 0.2, 1.0):
        best = (q[far <= kappa] @ certs).max()
        found = continued(certs, kappa, p).value
        assert best <= found + 1e-12
        assert found - best < 5e-3


def test_continued_at_its_ends():
    p, certs = np.array([0.5, 0.3, 0.2, 0.0]), np.array([0.1, 0.7, 0.7, 99.0])
    assert continued(certs, 0.0, p).value == pytest.approx(p @ certs, rel=1e-15)
    for kappa in (math.log(2), 3.0, math.inf):
        found = continued(certs, kappa, p)
        assert found.value == 0.7
        assert found.tilt == math.inf
        assert found.distribution.tolist() == pytest.approx([0, 0.6, 0.4, 0])
    assert continued(certs, math.log(2) - 1e-6, p).value < 0.7
    assert continued([0.3, 0.3], 5.0, [0.5, 0.5]).value == 0.3
    near = continued([0.0, 1.0, 1.0 - 1e-15], 2.0, [0.8, 0.1, 0.1]).value  # ties within rounding
    assert near == pytest.approx(1.0, abs=1e-12)


def test_normal_approximation_is_no_bound():  # negative control: mean + sqrt(2 kappa Var)
    p, certs, kappa = np.array([0.99, 0.01]), np.array([0.0, 1.0]), 0.1
    mean = p @ certs
    short = mean + math.sqrt(2 * kappa * (p @ (certs - mean) ** 2))
    found = continued(certs, kappa, p)
    assert rel_entr(found.distribution, p).sum() < kappa * (1 + 1e-9)
    assert found.attained > 1.4 * short
    assert found.value < mean + math.sqrt(kappa / 2)  # Pinsker: the range in the place of the deviation


def test_a_sample_of_p_certifies_nothing():
    rng = np.random.default_rng(1)
    draws = rng.normal(size=20_000)  # of a normal p the supremum is sqrt(2 kappa)
    found = continued(draws, 0.5)
    assert found.kind == "estimated"
    assert found.value == pytest.approx(1.0, abs=0.05)
    few = continued(draws[:50], 3.0)
    with pytest.raises(UnhealthyError, match="effective"):
        _ = few.value
    assert few.raw < math.sqrt(6.0)  # too low, as it must not be
    for wrong in (
        lambda: continued([0.1, math.nan], 0.1),
        lambda: continued([0.1, 0.2], -1.0),
        lambda: continued([0.1, 0.2], 0.1, [0.5, 0.6]),
    ):
        with pytest.raises(InputError, match="give"):
            wrong()


# --- drift ---


def drift(rng, mdp, gain, eps_r, eps_tau):
    """A process and a reward within the drifts, at their border; corners of the ball hurt most."""
    moves = mdp.transitions.clone()
    for s in range(mdp.states):
        for a in range(mdp.actions):
            down, up = rng.permutation(mdp.states)[:2]
            mass = min(eps_tau / 2, float(moves[s, a, down]))
            moves[s, a, down] -= mass
            moves[s, a, up] += mass
    moved = tw.MDP(moves / moves.sum(-1, keepdim=True), mdp.start, mdp.discount)
    return moved, gain + eps_r * torch.as_tensor(rng.choice([-1.0, 1.0], size=gain.shape))


def test_drifted_covers_random_drifts():
    rng = np.random.default_rng(2)
    for _ in range(100):
        mdp = random_mdp(rng, states=5, actions=2)
        gain = torch.as_tensor(rng.normal(size=(5, 2)))
        policy = torch.as_tensor(rng.dirichlet(np.ones(2), size=5))
        t = float(mdp.regret(policy, gain, normalised=True))
        for own in (policy, None):
            bound = drifted(t, mdp, gain, reward_drift=0.01, transition_drift=0.01, policy=own)
            assert bound.healthy
            moved, changed = drift(rng, mdp, gain, 0.01, 0.01)
            assert float(moved.regret(policy, changed, normalised=True)) <= bound.value
        assert bound.value >= drifted(t, mdp, gain, reward_drift=0.01, transition_drift=0.01, policy=policy).value


def test_drifted_is_attained_on_a_bandit():
    """Both parts are: the error of the regret by rewards that drift apart, of the range by ones that draw near."""
    mdp = tw.MDP(torch.ones(1, 2, 1), [1.0], 0.5)
    gain, bob, eps = torch.tensor([[1.0, 0.0]]).double(), torch.tensor([[0.0, 1.0]]).double(), 0.1
    gap = drifted(1.0, mdp, gain, reward_drift=eps, policy=bob)
    apart, together = (gain + eps * torch.tensor([[x, -x]]).double() for x in (1.0, -1.0))
    assert float(mdp.regret(bob, apart)) == pytest.approx(2.0 + gap.terms["regret error"], rel=1e-14)
    assert return_range(mdp, together) == pytest.approx(2.0 - gap.terms["range error"], rel=1e-14)
    assert gap.value == pytest.approx((2 + 0.4) / (2 - 0.4), rel=1e-14)


def test_the_range_must_shrink_too():  # negative control: t + e / rho, with the old range
    mdp = tw.MDP(torch.ones(1, 3, 1), [1.0], 0.5)
    gain, bob = torch.tensor([[1.0, 0.5, 0.0]]).double(), torch.tensor([[0.0, 1.0, 0.0]]).double()
    gap = drifted(0.5, mdp, gain, reward_drift=0.2, policy=bob)
    changed = gain + torch.tensor([[0.0, -0.2, 0.2]]).double()
    after = float(mdp.regret(bob, changed, normalised=True))
    assert 0.5 + 0.2 / 1.0 < after <= gap.value  # 0.5 + eps / rho of one step; the bound keeps both
    small = drifted(0.5, mdp, gain, reward_drift=0.5, policy=bob)
    with pytest.raises(UnhealthyError, match="whole return range"):
        _ = small.value


def test_no_drift_changes_nothing():
    rng = np.random.default_rng(3)
    mdp, gain = random_mdp(rng), torch.as_tensor(rng.normal(size=(6, 3)))
    assert drifted(0.2, mdp, gain).value == pytest.approx(0.2, rel=1e-14)
    with pytest.raises(InputError, match="L1"):
        drifted(0.1, mdp, gain, transition_drift=2.5)
    with pytest.raises(InputError, match="return range"):
        drifted(0.1, mdp, torch.ones(6))


# --- reflection ---


def test_an_exact_planner_who_judges_by_his_present_reward_never_gains():
    """The theorem, by planning in the augmented process: with every adoption allowed he has V* and no more."""
    rng = np.random.default_rng(4)
    for _ in range(40):
        mdp = random_mdp(rng, states=5, actions=3, discount=rng.uniform(0.1, 0.95))
        gains = torch.as_tensor(rng.normal(size=(4, 5, 3)) * 10 ** rng.uniform(-3, 3, size=(4, 1, 1)) - 1)
        plans = torch.stack([mdp.optimal(gain).policy for gain in gains])
        process = _augmented(mdp, plans)
        for cost in (0.0, 0.3):
            for gain in gains:
                best = mdp.optimal(gain).value
                inside = process.optimal(_augmented_reward(gain, plans, cost)).value.reshape(4, 5)
                assert (inside - best).abs().max() < 1e-9 * (1 + best.abs().max())
            found = reflect(mdp, gains[0], list(gains[1:]), cost, alice_reward=gains[1])
            assert not found.rewrites
            assert found.share == 0
            assert found.gain.max() <= 1e-9 * (1 + max(mdp.optimal(g).value.abs().max() for g in gains))
            assert found.regret_after == pytest.approx(found.regret_before, abs=1e-12)
            assert found.regret_after <= found.bound_after + 1e-9


def test_a_bribe_breaks_the_theorem():  # negative control: cost below 0, and a free step where rewards are negative
    rng = np.random.default_rng(5)
    mdp = random_mdp(rng)
    gains = -1 - torch.as_tensor(rng.random((2, 6, 3)))
    plans = torch.stack([mdp.optimal(gain).policy for gain in gains])
    process, best = _augmented(mdp, plans), mdp.optimal(gains[0]).value
    bribed = process.optimal(_augmented_reward(gains[0], plans, -5.0)).value[:6]
    assert (bribed > best + 1).all()
    waits = _augmented_reward(gains[0], plans).clone()
    waits[:, 3:] = 0.0  # an adoption that takes a step of its own earns nothing in it
    assert (process.optimal(waits).value[:6] > best + 1).all()
    with pytest.raises(InputError, match="cost"):
        reflect(mdp, gains[0], [gains[1]], -5.0, alice_reward=gains[0])


def corridor(length=9, discount=0.95):
    """Left or right in a row of cells; it starts in the middle."""
    moves = torch.zeros(length, 2, length).double()
    for s in range(length):
        moves[s, 0, max(s - 1, 0)] = moves[s, 1, min(s + 1, length - 1)] = 1
    start = torch.zeros(length).double()
    start[length // 2] = 1
    return tw.MDP(moves, start, discount)


def at(length, **pays):
    reward = torch.zeros(length).double()
    for cell, pay in pays.items():
        reward[int(cell[1:])] = pay
    return reward


def test_the_naive_rewrites_himself_and_is_caught():
    """A reward that pays everywhere, more for the left: better by its own light, by Alice's nothing is worse."""
    mdp, alice = corridor(), at(9, c8=1.0)
    bliss = 10 + at(9, c0=1.0)
    naive = reflect(mdp, alice, [bliss], 1.0, alice_reward=alice, planner=Planner(judge="new"))
    assert naive.rewrites
    assert naive.adopts[0, 4] == 1
    assert naive.share == pytest.approx(1)  # the step of adoption, too
    assert naive.regret_before == pytest.approx(0.0, abs=1e-12)
    assert naive.bound_before < 1e-9
    worst = float(mdp.regret(torch.tensor([[1.0, 0.0]] * 9), alice, normalised=True))
    assert naive.regret_after == pytest.approx(worst, rel=1e-12)
    assert worst == pytest.approx(1.0)
    assert naive.bound_after >= naive.regret_after - 1e-12
    exact = reflect(mdp, alice, [bliss], 1.0, alice_reward=alice)  # negative control: nothing to catch
    assert not exact.rewrites
    assert exact.regret_after == pytest.approx(0.0, abs=1e-12)
    dear = reflect(mdp, alice, [bliss], 1e4, alice_reward=alice, planner=Planner(judge="new"))
    assert not dear.rewrites  # the cost counts


def test_a_large_steering_does_not_hide_small_gains_of_the_first():
    """Rounding of values of 1e12 is no measure for an agent whose own are 1: his gain is counted."""
    mdp, steering = corridor(15), at(15, c14=1.0, c0=0.6)
    easy = torch.arange(15, 0, -1).double()
    menu = [1e12 * easy.flip(0), easy]
    found = reflect(mdp, 1e-2 * steering, menu, 0.0, alice_reward=steering, planner=Planner(sweeps=3))
    assert found.adopts[0, 7] == 1
    assert found.regret_after == pytest.approx(0.0, abs=1e-12)


def test_a_bounded_planner_takes_an_easier_reward():
    """He sees three steps. His reward pays 1 far right, as Alice's, and 0.6 far left, which harms her; a slope to the
    left is easier, and by his own reward he gains."""
    mdp, steering = corridor(15), at(15, c14=1.0, c0=0.6)
    alice = at(15, c14=1.0, c0=-1.0)
    easy = torch.arange(15, 0, -1).double()
    bounded = reflect(mdp, steering, [easy], 0.1, alice_reward=alice, planner=Planner(sweeps=3))
    assert bounded.rewrites
    assert bounded.gain[0, 7] > 0
    assert bounded.regret_after > bounded.regret_before + 0.2
    assert bounded.regret_after <= bounded.bound_after < bounded.bound_before  # by his own reward he is better now
    # the same slope to the right serves her: a rewrite is not a fault by itself, the certificate tells
    helped = reflect(mdp, steering, [easy.flip(0)], 0.1, alice_reward=alice, planner=Planner(sweeps=3))
    assert helped.rewrites
    assert helped.regret_after == pytest.approx(0.0, abs=1e-12)
    assert helped.bound_after < helped.bound_before
    # negative control: who sees far enough keeps his own
    far = reflect(mdp, steering, [easy, easy.flip(0)], 0.1, alice_reward=alice, planner=Planner(sweeps=200))
    assert not far.rewrites


def test_accepting_a_little_loss_slides_far():
    """Each steering finds the next nearly as good as itself, and the last is Alice's worst."""
    arms = 11
    mdp = tw.MDP(torch.ones(1, arms, 1), [1.0], 0.9)
    place = torch.arange(arms).double()
    chain = [-(place - k).abs()[None] * 0.1 for k in range(arms)]  # k likes arm k, its neighbours 0.1 less
    sliding = Planner(acceptance=1.05)  # 0.1 a step is 1 in all
    slid = reflect(mdp, chain[0], chain[1:], 0.0, alice_reward=chain[0], planner=sliding)
    assert slid.regret_before == pytest.approx(0.0, abs=1e-12)
    # one arm a step: sum over t of 0.9^t min(t + 1, 10) / 10, of 10
    fall = [0.1 * min(t + 1, 10) for t in range(400)]
    assert slid.regret_after == pytest.approx(sum(0.9**t * f for t, f in enumerate(fall)) / 10, rel=1e-9)
    assert slid.regret_after > 5 * 1.05 / 10  # far more than what is accepted at once, 0.105 of the range
    assert slid.bound_after >= slid.regret_after - 1e-9
    once = reflect(mdp, chain[0], chain[1:2], 0.0, alice_reward=chain[0], planner=sliding)
    assert once.regret_after == pytest.approx(0.1, rel=1e-12)  # a menu of one: what was accepted, 1 of 10
    firm = reflect(mdp, chain[0], chain[1:], 0.0, alice_reward=chain[0], planner=Planner(acceptance=0.95))
    assert not firm.rewrites  # negative control: less than a neighbour costs
    priced = reflect(mdp, chain[0], chain[1:], 0.1, alice_reward=chain[0], planner=sliding)
    assert not priced.rewrites  # a cost above the acceptance's slack holds him


def test_the_worst_of_what_is_accepted_is_the_worst():
    """Against brute force over all choices of what is accepted."""
    rng = np.random.default_rng(6)
    mdp = random_mdp(rng, states=2, actions=2, discount=0.8)
    gains = torch.as_tensor(rng.normal(size=(2, 2, 2)))
    found = reflect(mdp, gains[0], [gains[1]], 0.0, alice_reward=gains[0], planner=Planner(acceptance=100.0))
    plans = torch.stack([mdp.optimal(gain).policy for gain in gains])
    hers = _augmented_reward(gains[0], plans)
    returns = []
    for code in range(16):
        chosen = torch.tensor([2 + (code >> bit & 1) for bit in range(4)])
        policy = torch.nn.functional.one_hot(chosen, 4).double()
        returns.append(float(found.process.returns(policy, hers)))
    lost = float(mdp.optimal(gains[0]).value @ mdp.start) - min(returns)
    assert found.regret_after == pytest.approx(lost / return_range(mdp, gains[0]), rel=1e-12)


def test_sparse_and_dense_reflect_alike_and_bounds_can_be_given():
    mdp, alice, easy = corridor(), at(9, c8=1.0), torch.arange(9, 0, -1).double()
    thin = tw.MDP(mdp.transitions.to_sparse(), mdp.start, mdp.discount)
    for planner in (Planner(judge="new"), Planner(sweeps=2), Planner(acceptance=5.0)):
        one, other = (reflect(m, alice, [easy], 0.1, alice_reward=alice, planner=planner) for m in (mdp, thin))
        assert torch.equal(one.adopts, other.adopts)
        assert one.regret_after == pytest.approx(other.regret_after, abs=1e-12)
    given = reflect(mdp, alice, [easy], 0.1, alice_reward=alice, certify=lambda m, a, b, gap: 7.0 + gap)
    assert given.bound_before == pytest.approx(7.0)
    for wrong in (
        lambda: reflect(mdp, alice, [], 0.1, alice_reward=alice),
        lambda: reflect(mdp, alice, [easy], 0.1, alice_reward=torch.ones(9)),
        lambda: reflect(mdp, torch.ones(2, 9, 2), [easy], 0.1, alice_reward=alice),
        lambda: Planner(sweeps=0),
        lambda: Planner(acceptance=-1.0),
    ):
        with pytest.raises(InputError):
            wrong()
