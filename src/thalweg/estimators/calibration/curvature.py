"""The largest curvature of the loss, by power iteration on Hessian-vector products.              D weights

    v <- H v / |H v|,    h = v . H v,      H the Hessian of L_n over the open directions

Products are exact (a gradient of a gradient), in ordinary autograd, one point at a time.
Source: any text on eigenvalues; products after Pearlmutter 1994, eq. 2.
"""

import math

import torch
from torch import Tensor

from thalweg.landscape import Center, Landscape
from thalweg.rng import stream

ITERATIONS, FEWEST, SAMPLES = 40, 16, 1024  # a lone eigenvalue is hidden in the bulk for some iterations


def largest_curvature(scape: Landscape, center: Center, params: Tensor, seed: int = 0) -> float:
    """The largest |eigenvalue| of the Hessian at a point, nats per squared weight, in units of the tether.

    Args:
        scape: the landscape; of many samples about `SAMPLES` stand for all.
        center: the checkpoint, whose buffers and frozen parameters are taken.
        params: (D,) the point.
        seed: names the first direction.

    Returns:
        A lower bound that is within some per cent of the eigenvalue; NaN where a product is not finite.
    """
    layout, mask = scape.layout, scape.mask
    narrow = 1.0 if scape.tether is None else 1 / scape.tether
    count = 0 if scape.data is None else len(scape.data)
    data = (None, None) if scape.data is None else scape.data.take(slice(0, count, max(1, count // SAMPLES)))
    weights = {k: w.detach().requires_grad_() for k, w in layout.unflatten(params).items()}
    own = stream(seed, "curvature", device=params.device)
    direction = torch.randn(params.shape, generator=own, dtype=params.dtype, device=params.device)
    direction = direction if mask is None else direction * mask
    direction = direction / direction.norm()
    with torch.enable_grad():
        loss = scape.losses(weights, center.frozen, *data).mean()
        grads = torch.autograd.grad(loss, list(weights.values()), create_graph=True, materialize_grads=True)
        slope = layout.flatten(dict(zip(weights, grads, strict=True)))
        found = 0.0
        for iteration in range(ITERATIONS if slope.requires_grad else 0):
            product = torch.autograd.grad(
                slope @ (narrow * direction), list(weights.values()), retain_graph=True, materialize_grads=True
            )
            moved = narrow * layout.flatten(dict(zip(weights, product, strict=True)))
            moved = (moved if mask is None else moved * mask).detach()
            before, found = found, float(moved.norm())
            settled = iteration >= FEWEST and abs(found - before) < 0.01 * found
            if not math.isfinite(found) or found == 0 or settled:
                break
            direction = moved / found
    return found
