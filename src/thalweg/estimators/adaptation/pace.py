"""Seconds as a count of gradients."""

from timeit import repeat

from thalweg.estimators.adaptation.auto import Auto
from thalweg.landscape import Landscape
from thalweg.runtime import threads
from thalweg.samplers import Engine, width

TRIALS, FEWEST = 5, 100


def counted(auto: Auto, scape: Landscape, share: float = 1.0) -> Auto:
    """The same with a budget that takes about `seconds`; as it is, where there are none.

    Args:
        auto: resolved.
        scape: whose gradients are timed, once to warm up and then a few times, the fastest counts.
        share: of the seconds that one estimate may take.
    """
    if auto.seconds is None:
        return auto
    rows, chains = width(scape), auto.chains or 1
    params = scape.layout.flatten(scape.params).expand(rows, -1).contiguous()
    frozen = {k: w.expand(rows, *w.shape) for k, w in scape.frozen.items()}
    with threads(auto.threads):
        gradient = Engine(scape, compiled=False).gradient(frozen, None)
        gradient(params)
        pace = min(repeat(lambda: gradient(params), number=1, repeat=TRIALS)) * -(-chains // rows)
    return auto.model_copy(update={"budget": max(FEWEST, int(float(f"{share * auto.seconds / pace:.2g}")))})
