"""RMSprop-SGLD: SGLD whose steps are scaled, weight by weight, by the root mean square of the loss gradient.

    v' = b v + (1 - b) g^2,   eps_i = eps / (a + sqrt(v_i / (1 - b^t))),
    w_i' = w_i - (eps_i/2) (nbeta g_i + gamma (w_i - w*_i)) + sqrt(eps_i) xi_i                R replicas, D weights

The scale is learnt in burn-in and then frozen: a scale that follows the chain would need the term
Gamma(w) = sum d eps_i / d w_i in its drift, and without it there is no exact law (1.13 to 1.66 of the
truth on a quadratic, worse as eps shrinks). With eps_i frozen this is SGLD in rescaled weights.
Source: Li et al. 2016 (arXiv 1512.07666), algorithm 1, without Gamma; frozen here."""

from typing import NamedTuple

import torch
from torch import Tensor

from thalweg.landscape import LocalizedPosterior
from thalweg.samplers._target import Draw, Gradient, Info
from thalweg.samplers.algorithm import Algorithm, dialled

DECAY = 0.99  # b
FLOOR = 0.1  # a: weights whose gradient is far below it share one step


class State(NamedTuple):
    """What is carried from step to step."""

    params: Tensor  # (R, D)
    square: Tensor  # (R, D) running mean of the squared loss gradient
    seen: Tensor  # (R, 1) gradients in it


def init(params: Tensor) -> State:
    """Start every replica at its own centre, with no gradient seen.

    Args:
        params: (R, D), copied, never written to.
    """
    return State(params.detach().clone(), torch.zeros_like(params), params.new_zeros(len(params), 1))


def step(
    state: State, draw: Draw, *, gradient: Gradient, posterior: LocalizedPosterior, step_size: Tensor, frozen: bool
) -> tuple[State, Info]:
    """Move every replica once. Nothing is modified.

    Args:
        state: from `init` or the step before.
        draw: its noise is used.
        gradient: of the mean loss over the step's batch, nats per sample.
        posterior: the target of each replica. A closed direction is projected out in the metric of
            the scale, so that the law on the open directions is the posterior's.
        step_size: (R, 1) eps > 0, of a weight whose gradient has root mean square 1 - a.
        frozen: keep the scale as it is; False only in burn-in.

    Returns:
        The new state, and what was seen at the old one.
    """
    grad, loss = gradient(state.params)
    square, seen = state.square, state.seen
    if not frozen or bool((seen == 0).any()):
        square = DECAY * square + (1 - DECAY) * grad.square()
        seen = seen + 1
    root = (square / (1 - DECAY**seen)).sqrt()
    scale = step_size / (root + FLOOR)
    drift = posterior.gradient(state.params, grad)
    move = _project(posterior, (scale.sqrt() * draw.noise).addcmul(scale, drift, value=-0.5), scale)
    return State(state.params + move, square, seen), Info(loss, torch.ones_like(loss))


def _project(posterior: LocalizedPosterior, move: Tensor, scale: Tensor) -> Tensor:
    """Close a direction n:  v - S n (n.v) / (n.S n): drift and noise then keep the restricted posterior."""
    if posterior.mask is not None:
        move, scale = move * posterior.mask, scale * posterior.mask
    if posterior.normal is None:
        return move
    weighted = scale * posterior.normal
    length = (weighted * posterior.normal).sum(1, keepdim=True).clamp_min(torch.finfo(scale.dtype).tiny)
    return move - weighted * ((move * posterior.normal).sum(1, keepdim=True) / length)


ALGORITHM = Algorithm(lambda params, gradient, posterior: init(params), dialled(step, "step_size", "frozen"), State)
