"""A survey as it is read from the store: the learning coefficient along training."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from thalweg.errors import InputError
from thalweg.phases import FEWEST, Forecast, Transition, forecasts, transitions
from thalweg.runtime import all_finite
from thalweg.store.schema import MOVED, VERDICTS, logged_in
from thalweg.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

_OTHERS = ("train_loss", "test_loss", "weight_norm", "gradient_norm")


class Survey:
    """A survey on disk. What it knows is read from there."""

    def __init__(self, path: str | Path) -> None:
        """Open a survey.

        Raises:
            InputError: no survey there, nothing of it is finished, or a file of it is damaged.
        """
        self.store = Store(path)
        self.attributes: dict[str, Any]
        self.table: xr.Dataset
        self.attributes, self.table = self.store.read()

    def __len__(self) -> int:
        return self.table.sizes["checkpoint"]

    def __repr__(self) -> str:
        return f"Survey({str(self.path)!r}, checkpoints={len(self)}, complete={self.complete})"

    @property
    def path(self) -> Path:
        """The folder."""
        return self.store.path

    @property
    def complete(self) -> bool:
        """Whether every checkpoint of the series is in it."""
        return bool(self.attributes["complete"])

    @property
    def verdicts(self) -> list[str]:
        """Health of each estimate."""
        return [str(VERDICTS[code]) for code in self.table["verdict"].values]

    @property
    def reasons(self) -> list[list[str]]:
        """Why estimates are unhealthy."""
        return self.table.attrs["reasons"]

    @property
    def choices(self) -> list[list[str]]:
        """What each estimate chose by itself, a sentence for each choice."""
        return self.table.attrs["choices"]

    @property
    def settings(self) -> list[dict[str, Any]]:
        """What each estimate was made with."""
        return self.table.attrs["settings"]

    @property
    def kind(self) -> str:
        """Of point that the checkpoints were taken for: `at`, `orthogonal`, `tilted` or `relaxed`, one for all."""
        made = self.settings[0]
        return made.get("kind", "orthogonal" if made["orthogonal_to_gradient"] else "at")  # older stores have two

    @property
    def logged(self) -> tuple[str, ...]:
        """Names of the quantities that stand beside the coefficient."""
        return (*_OTHERS, *logged_in(self.table))

    @property
    def healthy(self) -> np.ndarray:
        """(T,) which estimates have a value."""
        return np.array([v == "healthy" for v in self.verdicts])

    def column(self, name: str) -> np.ndarray:
        """(T,) one quantity along training, as stored."""
        return self.table[name].values

    def to_dataframe(self) -> "pd.DataFrame":
        """One row a checkpoint; `llc` is missing where unhealthy, `llc_raw` always there."""
        frame = self.table.to_dataframe().rename(columns={"llc": "llc_raw"})
        frame["verdict"] = self.verdicts
        frame.insert(1, "llc", frame["llc_raw"].where(self.healthy))
        for name in ("sampler", "gamma"):
            frame[name] = [made[name] for made in self.settings]
        frame["kind"] = self.kind
        frame["reasons"] = ["; ".join(r) for r in self.reasons]
        first = ["step", "train_loss", "test_loss", "llc", "llc_raw", "llc_stderr", "verdict"]
        return frame.reindex(columns=[*first, *(name for name in frame.columns if name not in first)])

    def traces(self, step: int) -> xr.Dataset:
        """Losses of every draw at one checkpoint: `loss`, `excess` (chain, draw) and their burn-in.

        Raises:
            InputError: no checkpoint of that step, or its shard is damaged.
        """
        steps = self.column("step")
        if step not in steps:
            raise InputError(f"no checkpoint of step {step} in {self.path}: there are {steps.tolist()}")
        shard = self.store.read_shard(self.table.attrs["shards"][int(np.flatnonzero(steps == step)[0])])
        return shard.isel(checkpoint=int(np.flatnonzero(shard["step"].values == step)[0]))

    def transitions(self) -> list[Transition]:
        """Transitions of kinds A and B along training; see `tw.transitions`.

        Unhealthy estimates are left out, each of them; they have no value. Fewer than five healthy
        ones show no transition.
        """
        keep = self.healthy
        if keep.sum() < FEWEST:
            return []
        logged = {name: self.column(name)[keep] for name in self.logged if np.isfinite(self.column(name)[keep]).all()}
        nbetas = {made["nbeta"] for made in self.settings}
        return transitions(
            self.column("step")[keep],
            logged["train_loss"],
            self.column("llc")[keep],
            self.column("llc_stderr")[keep],
            others=logged,
            errors="independent",  # those of one checkpoint: its own chains
            nbeta=nbetas.pop() if len(nbetas) == 1 else None,
        )

    def forecasts(self) -> list[Forecast]:
        """Expected and observed changes of test loss between healthy checkpoints; see `tw.phases.forecasts`.

        Empty where no test data were given, or fewer than two estimates are healthy.
        """
        keep = self.healthy & np.isfinite(self.column("test_loss"))
        if keep.sum() < 2:
            return []
        columns = [self.column(name)[keep] for name in ("step", "train_loss", "test_loss", "llc")]
        made, logged = self.settings[0], "functional_variance" in self.logged
        return forecasts(
            *columns,
            n=made["n"],
            llc_stderr=self.column("llc_stderr")[keep],
            functional_variance=self.column("functional_variance")[keep] if logged else None,
            beta=made["nbeta"] / made["n"],
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON: lists along checkpoints, null where there is no number."""
        healthy = self.healthy
        named = (*self.logged, "llc_stderr", "rhat", "ess", *(name for name in MOVED if name in self.table))
        columns = {name: all_finite(self.column(name)) for name in named}
        return {
            "out": str(self.path),
            "complete": self.complete,
            "steps": self.column("step").tolist(),
            "llc": all_finite(np.where(healthy, self.column("llc"), np.nan)),
            "llc_raw": all_finite(self.column("llc")),
            **columns,
            "verdicts": self.verdicts,
            "reasons": self.reasons,
            "choices": self.choices,
            "kind": self.kind,
            "sampler": [made["sampler"] for made in self.settings],
            "gamma": [made["gamma"] for made in self.settings],
            "transitions": [t.to_dict() for t in self.transitions()],
            "forecasts": [f.to_dict() for f in self.forecasts()],
        }


def open_survey(path: str | Path) -> Survey:
    """Open a survey that was written before, finished or not."""
    return Survey(path)
