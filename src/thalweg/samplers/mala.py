"""MALA: a step of SGLD on the full data, accepted or refused so that the posterior is exact.    R replicas, D weights

    w' ~ N(w - (eps/2) grad U(w), eps),    log a = U(w) - U(w') + log q(w | w') - log q(w' | w)

It is one leapfrog step of HMC: with p = xi and h^2 = eps the ratio is the change of U + |p|^2/2.
Source: Roberts & Tweedie 1996, section 1.4.1; Neal 2011, section 5.2 (one leapfrog step)."""

from torch import Tensor

from thalweg.landscape import LocalizedPosterior
from thalweg.samplers import hmc
from thalweg.samplers._target import Draw, Gradient, Info
from thalweg.samplers.algorithm import Algorithm, dialled
from thalweg.samplers.hmc import State, init


def step(
    state: State, draw: Draw, *, gradient: Gradient, posterior: LocalizedPosterior, step_size: Tensor
) -> tuple[State, Info]:
    """Propose one move for every replica. Nothing is modified.

    Args:
        state: from `init` or the step before.
        draw: noise, and the first uniform number for acceptance.
        gradient: of the mean loss over the full data; a batch would break the balance.
        posterior: the target of each replica.
        step_size: (R, 1) eps > 0, weight^2 per nat, the same for all chains of a checkpoint.

    Returns:
        The new state, and its loss with the probability of acceptance.
    """
    one = draw._replace(leapfrog_steps=1)
    return hmc.step(state, one, gradient=gradient, posterior=posterior, step_size=step_size, jitter=1.0)


ALGORITHM = Algorithm(init, dialled(step, "step_size"), State, exact=True)
