"""Survey: the learning coefficient of every checkpoint of a run, on disk, resumable."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from thalweg.checkpoints import Series, checkpoints
from thalweg.errors import InputError
from thalweg.estimators import Auto, choice, counted, describe
from thalweg.landscape import Landscape, announce, other_data
from thalweg.phases import FEWEST, Forecast, Transition, forecasts, transitions
from thalweg.runtime import all_finite
from thalweg.samplers import Settings, width
from thalweg.store import VERDICTS, Store, scalars, shard_dataset, table_dataset, versions
from thalweg.survey.plan import Plan, Shard, checked, plan
from thalweg.survey.pool import Pool, check_memory, workers_for
from thalweg.survey.schedule import Schedule, Settling
from thalweg.survey.work import LOGGED, Job

if TYPE_CHECKING:
    import pandas as pd

OTHERS = ("train_loss", "test_loss", "weight_norm", "gradient_norm")


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
    def logged(self) -> tuple[str, ...]:
        """Names of the quantities that stand beside the coefficient."""
        return (*OTHERS, *(name for name in LOGGED if name in self.table))

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
        made = self.settings[0]
        return forecasts(
            *columns,
            n=made["n"],
            llc_stderr=self.column("llc_stderr")[keep],
            functional_variance=self.column("functional_variance")[keep]
            if "functional_variance" in self.logged
            else None,
            beta=made["nbeta"] / made["n"],
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON: lists along checkpoints, null where there is no number."""
        healthy = self.healthy
        columns = {name: all_finite(self.column(name)) for name in (*self.logged, "llc_stderr", "rhat", "ess")}
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
            "sampler": [made["sampler"] for made in self.settings],
            "gamma": [made["gamma"] for made in self.settings],
            "transitions": [t.to_dict() for t in self.transitions()],
            "forecasts": [f.to_dict() for f in self.forecasts()],
        }


def open_survey(path: str | Path) -> Survey:
    """Open a survey that was written before, finished or not."""
    return Survey(path)


def survey(
    landscape: Landscape,
    series: Series | str | Path,
    out: str | Path,
    *,
    settings: Settings | Auto | Literal["auto"] | None = None,
    test_data: Any = None,
    logged: Sequence[str] = (),
    workers: int | None = None,
    memory: int | None = None,
    progress: bool | None = None,
    **changes: Any,
) -> Survey:
    """Estimate the LLC of every checkpoint of a run.

    Killed at any moment, the same call goes on where it stopped. What is finished is not computed again, unless its
    weights, data, loss or settings changed.

    Args:
        landscape: of the module that was trained, at any weights.
        series: from `tw.checkpoints`, or the folder.
        out: folder for the result, an xarray DataTree on Zarr.
        settings: `tw.Settings(...)`, the same for all, or `tw.Auto(...)`: each finds its own (the default).
        test_data: as data of `tw.landscape`; its loss is logged at each checkpoint.
        logged: more to log at each checkpoint, with settings of a sampler. `log_determinant`: log det of
            I + (nbeta/gamma) H+, nats, see `tw.estimators.log_determinant`. `functional_variance`: V, the sum over
            samples of the variance of their losses at the survey's own nbeta (of the posterior itself: nbeta = n).
        workers: processes; default one for each core, as far as memory goes. 1 stays in this process.
        memory: bytes for all processes together; default half of the free memory.
        progress: a bar on standard error; default when that is a terminal.
        **changes: single choices, as of `tw.estimate_llc`.

    Raises:
        InputError: a checkpoint does not fit, `out` holds something else, settings out of range; nothing is written.
    """
    store = Store(out)
    store.check_free()
    series = series if isinstance(series, Series) else checkpoints(series)
    if not len(series):
        raise InputError("no checkpoints are left in the series: give at least one")
    check_memory(landscape.layout.width, landscape.layout.dtype.itemsize, 0, memory)
    job = _job(landscape, _resolved(choice(settings, **changes), landscape, store), test_data, logged)
    workers_for(job, 1, workers, memory)  # refuses what does not fit before the checkpoints are read
    job = replace(job, landscape=checked(landscape, series.items))
    announce(landscape, job.landscape)
    planned = plan(job.landscape, series.items, job.settings, job.test, job.logged)
    finished = _finished(store, planned, {})
    pool_size = workers_for(job, _tasks(job, planned.missing(finished)), workers, memory)
    with store.writing():
        finished = _finished(store, planned, finished)  # another process may have written meanwhile
        _write_table(store, planned, job, finished)
        if missing := planned.missing(finished):
            with Pool(job, pool_size) as pool, _bar(job, planned, missing, progress) as tick:
                auto = isinstance(job.settings, Auto)
                runs = Settling(job, missing, pool, tick) if auto else Schedule(job, store, missing, pool, tick)
                _write(store, planned, job, finished, runs)
        store.finish()
    return Survey(out)


def _write(store: Store, planned: Plan, job: Job, finished: dict[str, xr.Dataset], runs: Schedule | Settling) -> None:
    """Write each shard as soon as it is computed, and the table with it."""
    for shard, rows in runs.finished():
        store.write_shard(shard.key, shard_dataset(rows))
        finished[shard.key] = scalars(store.read_shard(shard.key))
        _write_table(store, planned, job, finished)


def _tasks(job: Job, missing: list[Shard]) -> int:
    """What can run at a time, at least 1: chunks of chains, or checkpoints where each finds its settings."""
    count = len(missing)
    if isinstance(job.settings, Settings):
        count = sum(-(-len(s.checkpoints) * job.settings.chains // width(job.landscape)) for s in missing)
    return max(count, 1)


def _names(logged: Sequence[str]) -> tuple[str, ...]:
    """What is asked for, each once, in one order, so that no key depends on how it was said."""
    asked = [logged] if isinstance(logged, str) else list(logged)
    for name in asked:
        if name not in LOGGED:
            raise InputError(f"logged {name!r}: there are {', '.join(LOGGED)}")
    return tuple(name for name in LOGGED if name in asked)


def _job(landscape: Landscape, settings: Settings | Auto, test_data: Any, logged: Sequence[str]) -> Job:
    """What is computed at every checkpoint; refused where it cannot be logged."""
    test = other_data(landscape, test_data, "test") if test_data is not None else None
    job = Job(landscape, settings, test, _names(logged))
    if job.logged and isinstance(job.settings, Auto):
        raise InputError(f"logged {', '.join(job.logged)}: give tw.Settings(...), the same for all checkpoints")
    if "functional_variance" in job.logged and job.landscape.data is None:
        raise InputError("logged functional_variance: a potential has no samples")
    if "functional_variance" in job.logged and (job.settings.chains or 0) < 2:
        raise InputError("logged functional_variance: give at least 2 chains, whose draws differ")
    if "log_determinant" in job.logged and not job.settings.gamma:
        raise InputError("logged log_determinant needs a tether: give a gamma above 0")
    return job


def _finished(store: Store, planned: Plan, known: dict[str, xr.Dataset]) -> dict[str, xr.Dataset]:
    """Scalars of each shard that stands as it was written, by key; those that are known are not read again."""
    found = dict(known)
    for shard in planned.missing(known):
        stored = store.find_shard(shard.key)
        if stored is not None:
            found[shard.key] = scalars(stored)
    return found


def _write_table(store: Store, planned: Plan, job: Job, finished: dict[str, xr.Dataset]) -> None:
    """Gather the scalars of all finished shards, and say what the survey is."""
    attributes = {
        "complete": len(finished) == len(planned.shards),
        "settings": describe(job.settings, job.landscape),
        "versions": versions(),
        "hashes": planned.hashes,
        "shards": [shard.key for shard in planned.shards],
        "checkpoints": sum(len(shard.checkpoints) for shard in planned.shards),
    }
    if finished:
        ordered = {shard.key: finished[shard.key] for shard in planned.shards if shard.key in finished}
        store.write_table(table_dataset(ordered), attributes)
    else:
        store.write_attributes(attributes)


def _resolved(chosen: Settings | Auto, landscape: Landscape, store: Store) -> Settings | Auto:
    """Choices with all filled in that sizes decide; seconds as the count that they were when the survey began."""
    if isinstance(chosen, Auto):
        asked = chosen.resolve(landscape)
        before = store.remembered().get("settings", {}) if chosen.seconds else {}
        if all(before.get(name) == value for name, value in asked.model_dump(exclude={"budget"}).items()):
            return asked.model_copy(update={"budget": before["budget"]})
        return counted(asked, landscape)
    return chosen.resolve(landscape.n, len(landscape.data) if landscape.data else None)


class _bar:  # noqa: N801  (a context manager, used as a function)
    """A progress bar of replica steps on standard error, silent when that is no terminal."""

    def __init__(self, job: Job, planned: Plan, missing: list[Shard], wanted: bool | None) -> None:
        console = Console(stderr=True)
        shown = console.is_terminal if wanted is None else wanted
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(),
        )
        self.progress = Progress(*columns, console=console, disable=not shown)
        size = job.settings.chains * job.settings.steps if isinstance(job.settings, Settings) else 1
        self.total = size * sum(len(s.checkpoints) for s in planned.shards)
        self.done = self.total - size * sum(len(s.checkpoints) for s in missing)

    def __enter__(self) -> Callable[[int], None]:
        self.progress.start()
        task = self.progress.add_task("survey", total=self.total, completed=self.done)
        return lambda steps: self.progress.advance(task, steps)

    def __exit__(self, kind: type | None, *_: object) -> None:
        self.progress.stop()
        if kind is not None and issubclass(kind, KeyboardInterrupt) and not self.progress.disable:
            self.progress.console.print("stopped: every finished block is kept, the same call goes on from there")
