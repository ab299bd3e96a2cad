"""The loss at points around w*, and how well its mean is known.      P points, n samples, D weights"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import vmap

from thalweg.errors import guarded
from thalweg.landscape import Landscape
from thalweg.samplers import ROWS, width
from thalweg.types import Params


def losses_at(landscape: Landscape, points: Tensor, what: str) -> Iterator[np.ndarray]:
    """Losses of all samples, (at most a width, n), of a chunk of the points (P, D) after the other."""
    batched, layout = landscape.engine == "batched", landscape.layout
    wide, count = width(landscape), _count(landscape)
    for chunk in points.split(wide):
        padded = torch.cat([chunk, chunk[-1:].expand(wide - len(chunk), -1)])  # every kernel sees one shape
        weights, parts = layout.unflatten(padded), []
        for start in range(0, count, ROWS):
            batch = landscape.data.take(slice(start, start + ROWS)) if landscape.data else (None, None)

            def each(params: Params, batch: Any = batch) -> Tensor:
                return landscape.losses(params, landscape.frozen, *batch)

            with guarded(what), torch.no_grad():
                one = {name: w[0] for name, w in weights.items()}
                parts.append(vmap(each)(weights) if batched else each(one).reshape(1, -1))
        yield torch.cat(parts, 1)[: len(chunk)].cpu().double().numpy()


def are_drawn(landscape: Landscape) -> bool:
    """Whether the samples are draws, so that their mean has an error."""
    return _count(landscape) > 1 and not landscape.losses.whole


def mean_error(losses: np.ndarray) -> np.ndarray:
    """Standard errors of the means of (P, n), zero for a single sample."""
    count = losses.shape[1]
    return losses.std(1, ddof=1) / np.sqrt(count) if count > 1 else np.zeros(len(losses))


def _count(landscape: Landscape) -> int:
    """Samples; 1 of an analytic function."""
    return 1 if landscape.data is None else len(landscape.data)
