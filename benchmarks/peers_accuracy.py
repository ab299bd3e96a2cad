"""One peer in its own Python: estimates of the check's cases, asked for and answered in lines of JSON.

    PYTHONPATH=src python benchmarks/peers_accuracy.py devinterp|canonical

A request names a case, the seconds, and the settings; the answer holds the estimate, its draws and its seconds.
Each case goes to the peer as a module whose output is the loss of all its data, so that every gradient is exact. The
number of draws is what fits into the seconds at the rate of a short run; building and compiling are not counted.
"""

import itertools
import json
import logging
import math
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from typing import Any

if not hasattr(itertools, "batched"):  # of Python 3.12, which canonical-interp imports

    def _batched(items: Iterable, n: int) -> Iterator[tuple]:
        """Tuples of n."""
        rest = iter(items)
        while part := tuple(itertools.islice(rest, n)):
            yield part

    setattr(itertools, "batched", _batched)  # noqa: B010

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from thalweg.check import CASES
from thalweg.landscape import Landscape

PROBE, SKIP = 200, 20  # steps of the short run, and those of them that warm up


class Whole(nn.Module):
    """The loss of a landscape over all its data, as the output of a module."""

    def __init__(self, scape: Landscape) -> None:
        super().__init__()
        names, data = (
            list(scape.params),
            (None, None) if scape.data is None else (scape.data.inputs, scape.data.targets),
        )
        self.weights = nn.ParameterList([nn.Parameter(w.clone()) for w in scape.params.values()])
        self.loss = lambda weights: scape.losses(dict(zip(names, weights, strict=True)), {}, *data).mean()

    def forward(self, batch: Tensor) -> Tensor:
        """The batch is not looked at."""
        return self.loss(list(self.weights))


class Clock:
    """Told of each step; from the first ones, which build, to the last."""

    def __init__(self) -> None:
        self.steps, self.began, self.last = 0, math.nan, math.nan

    def __call__(self, *_: Any, **__: Any) -> None:
        """One more."""
        self.steps += 1
        self.last = time.perf_counter()
        if self.steps == SKIP:
            self.began = self.last

    @property
    def pace(self) -> float:
        """Seconds of a step."""
        return (self.last - self.began) / (self.steps - SKIP)


def devinterp(module: nn.Module, ask: dict[str, Any], draws: int, clock: Clock) -> float:
    """`estimate_learning_coeff_with_summary`, chain after chain."""
    from devinterp.optim.sgld import SGLD  # pyright: ignore[reportMissingImports]
    from devinterp.slt.sampler import (  # pyright: ignore[reportMissingImports]
        estimate_learning_coeff_with_summary,
    )

    rows = [torch.zeros(1)] * 1000  # many, since a loader is started anew behind its last batch
    found = estimate_learning_coeff_with_summary(
        module,
        DataLoader(rows, batch_size=1, collate_fn=lambda batch: batch[0]),  # pyright: ignore[reportArgumentType]
        callbacks=[clock],
        evaluate=lambda model, batch: (model(batch), {}),
        sampling_method=SGLD,
        optimizer_kwargs={"lr": ask["lr"], "nbeta": ask["nbeta"], "localization": ask["gamma"]},
        num_draws=draws,
        num_chains=ask["chains"],
        num_burnin_steps=round(ask["burn_in"] * draws),
        verbose=False,
        seed=0,
    )
    return float(found["llc/mean"])


def canonical(module: nn.Module, ask: dict[str, Any], draws: int, clock: Clock) -> float:
    """`LLCEstimator`, its chains in one compiled step; the loader of one batch, which it keeps."""
    from canonical_interp.slt import LLCEstimator  # pyright: ignore[reportMissingImports]

    def unpack(batch: Tensor) -> tuple[Tensor, Tensor]:
        clock()
        return batch, batch

    estimator = LLCEstimator(
        draws=draws,
        chains=ask["chains"],
        burnin_steps=round(ask["burn_in"] * draws),
        steps_bw_draws=1,
        learning_rate=ask["lr"],
        localization=ask["gamma"],
        nbeta=ask["nbeta"],
    )
    loader = DataLoader([torch.zeros(1)], batch_size=1)  # pyright: ignore[reportArgumentType]
    estimator.estimate_llc(
        module, loader, criterion_fn=lambda loss, _: loss, unpack_fn=unpack, show_progress=False, seed=0
    )
    return float(estimator.get_metrics()["llc_mean"].detach())


PEERS = {"devinterp": (devinterp, "devinterp"), "canonical": (canonical, "canonical-interp")}


def answer(who: str, ask: dict[str, Any]) -> dict[str, Any]:
    """Probe the pace, fill the seconds, return the estimate; None where it is no number, or the peer gave up."""
    estimate = PEERS[who][0]
    scape = next(case for case in CASES if case.name == ask["case"]).make()
    ask |= {"nbeta": scape.n / math.log(scape.n)}
    module, probe, clock = Whole(scape), Clock(), Clock()
    ticks = ask["chains"] if who == "devinterp" else 1 + ask["burn_in"]  # of the clock, for a draw of all chains
    try:
        estimate(module, ask, math.ceil(PROBE / ticks), probe)
        draws = max(ask["draws"], int(ask["seconds"] / (probe.pace * ticks)))
        began = time.perf_counter()
        value = estimate(module, ask, draws, clock)
    except RuntimeError as error:
        return {"llc": None, "why": str(error).split("\n")[0][:160], "draws": 0, "seconds": 0.0}
    start = began if who == "devinterp" else clock.began
    return {
        "llc": value if math.isfinite(value) else None,
        "draws": draws,
        "seconds": round(time.perf_counter() - start, 2),
    }


def main() -> None:
    """Answer until the requests end."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    who = sys.argv[1]
    print("ROW", json.dumps({"version": version(PEERS[who][1]), "torch": torch.__version__}), flush=True)
    last = None
    for line in sys.stdin:
        ask = json.loads(line)
        if ask["case"] != last:
            torch.compiler.reset()  # else the eighth shape is no longer compiled
            last = ask["case"]
        print("ROW", json.dumps(answer(who, ask)), flush=True)


if __name__ == "__main__":
    main()
