"""Names, dimensions and units of what a survey stores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from thalweg.estimators import LOGGED
from thalweg.landscape import Estimate
from thalweg.types import Verdict

# By code. None has code 0, which is what a reader of Zarr sees where a chunk is lost. Codes stay: new ones come last.
LATER = (Verdict.HEALTHY, Verdict.NOT_RELAXED)
VERDICTS = ("none", *(v for v in Verdict if v not in LATER), *LATER)  # by code

UNITS = {
    "train_loss": "nats per sample",
    "test_loss": "nats per sample",
    "weight_norm": "Euclidean norm of the parameters that move",
    "gradient_norm": "nats per sample and weight, of L_n at w*",
    "llc": "1",
    "llc_stderr": "1",
    "rhat": "1",
    "ess": "draws",
    "verdict": "code, see flag_meanings",
    "distance": "of the relaxed point from w*, rms lengths of the localization",
    "nats_gained": "nats, nbeta (L_n(w*) - L_n(w_r)) of the relaxed point w_r",
    "loss": "nats per sample, on each draw's batch",
    "excess": "nats per sample, above w* on the same batch",
}
RESERVED = ("step", *UNITS)  # names of columns that are ours
WORDS = ("keys", "reasons", "choices", "settings")  # lists along checkpoints that are no arrays
MOVED = ("distance", "nats_gained")  # columns of relaxed points alone
SCALARS = ("checkpoint",)  # dimensions of what a table takes from a shard


@dataclass(frozen=True)
class CheckpointRow:
    """Scalars of one checkpoint.

    Attributes:
        step: training step.
        key: hash of weights and buffers.
        estimate: with its trace.
        train_loss: L_n(w*), nats per sample.
        test_loss: over the test data, or NaN where there are none.
        weight_norm: of the parameters that move.
        gradient_norm: of L_n at w*.
        logged: quantities that were asked for beside, by name.
    """

    step: int
    key: str
    estimate: Estimate
    train_loss: float
    test_loss: float
    weight_norm: float
    gradient_norm: float
    logged: dict[str, float] = field(default_factory=dict)


def shard_dataset(rows: Sequence[CheckpointRow]) -> xr.Dataset:
    """Traces (checkpoint, chain, draw) and scalars (checkpoint) of one shard."""
    traces = [row.estimate.trace for row in rows]
    assert all(traces)
    columns: dict[str, Any] = {}
    for name in ("loss", "excess", "burn_in_loss", "burn_in_excess"):
        tail = "burn_in" if name.startswith("burn_in") else "draw"
        stacked = np.stack([getattr(t, name) for t in traces])
        columns[name] = (("checkpoint", "chain", tail), stacked, {"units": UNITS[name.removeprefix("burn_in_")]})
    words = {  # what arrays do not hold
        "keys": [row.key for row in rows],
        "reasons": [list(row.estimate.reasons) for row in rows],
        "choices": [list(row.estimate.choices) for row in rows],
        "settings": [row.estimate.settings for row in rows],
    }
    return xr.Dataset(columns | _scalars(rows), attrs=words)


def scalars(shard: xr.Dataset) -> xr.Dataset:
    """What a table takes from a shard: all but the traces."""
    return shard[[name for name, v in shard.variables.items() if v.dims == SCALARS]]


def logged_in(table: xr.Dataset) -> list[str]:
    """Names of the quantities that were logged beside the coefficient: ours, then those from outside."""
    there = [str(name) for name in table.data_vars if name not in RESERVED]
    return [*(name for name in LOGGED.ours if name in there), *sorted(set(there) - set(LOGGED.ours))]


def table_dataset(shards: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """Scalars of all checkpoints, in order, and where their traces are.

    Args:
        shards: `scalars` of those that are finished, by key.
    """
    table = xr.concat(shards.values(), "checkpoint", combine_attrs="override").sortby("step")
    order = np.argsort(np.concatenate([s["step"].values for s in shards.values()]), kind="stable")
    words = {name: [entry for shard in shards.values() for entry in shard.attrs[name]] for name in WORDS}
    words["shards"] = [key for key, shard in shards.items() for _ in shard["step"].values]
    table.attrs = {name: [flat[i] for i in order] for name, flat in words.items()}
    return table


def _scalars(rows: Sequence[CheckpointRow]) -> dict[str, Any]:
    """One column for each quantity."""
    estimates = [row.estimate for row in rows]
    units = UNITS | {name: LOGGED[name].units for name in rows[0].logged}
    own = ("train_loss", "test_loss", "weight_norm", "gradient_norm")
    columns = {
        **{name: [getattr(row, name) for row in rows] for name in own},
        **{name: [row.logged[name] for row in rows] for name in rows[0].logged},
        "llc": [e.raw for e in estimates],
        "llc_stderr": [e.stderr for e in estimates],
        "rhat": [e.rhat for e in estimates],
        "ess": [e.ess for e in estimates],
        **{name: [e.settings[name] for e in estimates] for name in MOVED if name in estimates[0].settings},
    }
    out: dict[str, Any] = {"step": ("checkpoint", np.array([row.step for row in rows], dtype=np.int64))}
    out |= {k: ("checkpoint", np.array(v, dtype=np.float64), {"units": units[k]}) for k, v in columns.items()}
    codes = np.array([VERDICTS.index(e.verdict) for e in estimates], dtype=np.int8)
    meanings = {"flag_values": list(range(1, len(VERDICTS))), "flag_meanings": " ".join(VERDICTS[1:])}
    return out | {"verdict": ("checkpoint", codes, {"units": UNITS["verdict"], **meanings})}
