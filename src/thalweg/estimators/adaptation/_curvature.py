"""The largest curvature of the loss, by power iteration on Hessian-vector products.              D weights

    v <- H v / |H v|,    h = v . H v,      H the Hessian of L_n over the open directions

Source: any text on eigenvalues.
"""

import math

import torch
from torch import Tensor

from thalweg.estimators._hessian import Hessian
from thalweg.landscape import Center, Landscape
from thalweg.rng import stream

ITERATIONS, FEWEST = 40, 16  # a lone eigenvalue is hidden in the bulk for some iterations


def largest_curvature(scape: Landscape, center: Center, params: Tensor, seed: int = 0) -> float:
    """The largest |eigenvalue| of the Hessian at a point, nats per squared weight, in units of the localization.

    Args:
        scape: the landscape; of many samples some stand for all.
        center: the checkpoint, whose buffers and frozen parameters are taken.
        params: (D,) the point.
        seed: names the first direction.

    Returns:
        A lower bound that is within some per cent of the eigenvalue; NaN where a product is not finite.
    """
    own = stream(seed, "curvature", device=params.device)
    direction = torch.randn(params.shape, generator=own, dtype=params.dtype, device=params.device)
    direction = direction if scape.mask is None else direction * scape.mask
    direction = direction / direction.norm()
    hessian, found = Hessian(scape, center, params), 0.0
    for iteration in range(0 if hessian.flat else ITERATIONS):
        moved = hessian.product(direction)
        before, found = found, float(moved.norm())
        settled = iteration >= FEWEST and abs(found - before) < 0.01 * found
        if not math.isfinite(found) or found == 0 or settled:
            break
        direction = moved / found
    return found
