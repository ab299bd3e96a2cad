"""Survey: the learning coefficient of every checkpoint of a run, on disk, resumable."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import xarray as xr

from thalweg.checkpoints import Series, checkpoints
from thalweg.errors import InputError
from thalweg.estimators import LOGGED, Auto, choice, counted, describe
from thalweg.landscape import Landscape, announce, other_data
from thalweg.runtime import Here, Workers, cores
from thalweg.samplers import Settings, check_memory, width
from thalweg.store import RESERVED, Store, Survey, scalars, shard_dataset, table_dataset, versions
from thalweg.survey._plan import Plan, Shard, checked, plan
from thalweg.survey._pool import workers_for, workers_of
from thalweg.survey._progress import Signs, shown
from thalweg.survey._schedule import Schedule, Settling
from thalweg.survey._work import Job

SPENT = 0.7  # of the seconds of a survey, on gradients


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
            samples of the variance of their losses at the survey's nbeta (the posterior itself has n); or of `LOGGED`
        workers: processes; default one for each core, as far as memory goes. 1 stays in this process.
        memory: bytes for all processes together; default half of the free memory.
        progress: a bar on standard error; default where that is a terminal, lines of the logger `thalweg` elsewhere.
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
    chosen = _resolved(choice(settings, **changes), landscape, store, _share(len(series), workers))
    job = _job(landscape, chosen, test_data, logged)
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
            total, left = _steps(job, planned.shards), _steps(job, missing)
            with workers_of(job, pool_size) as pool, shown(total, total - left, progress) as signs:
                runs = _runs(job, store, missing, pool, signs)
                _write(store, planned, job, finished, runs, signs)
        store.finish()
    return Survey(out)


def _runs(job: Job, store: Store, missing: list[Shard], pool: Workers | Here, signs: Signs) -> Schedule | Settling:
    """What computes the shards that are missing."""
    if isinstance(job.settings, Auto):
        return Settling(job, missing, pool, signs.tick)
    return Schedule(job, store, missing, pool, signs.tick)


def _write(
    store: Store,
    planned: Plan,
    job: Job,
    finished: dict[str, xr.Dataset],
    runs: Schedule | Settling,
    signs: Signs,
) -> None:
    """Write each shard as soon as it is computed, and the table with it."""
    for shard, rows in runs.finished():
        store.write_shard(shard.key, shard_dataset(rows))
        finished[shard.key] = scalars(store.read_shard(shard.key))
        _write_table(store, planned, job, finished)
        signs.tell(rows)


def _steps(job: Job, shards: Sequence[Shard]) -> int:
    """Steps of replicas, or checkpoints where each finds its settings."""
    size = job.settings.chains * job.settings.steps if isinstance(job.settings, Settings) else 1
    return size * sum(len(s.checkpoints) for s in shards)


def _tasks(job: Job, missing: list[Shard]) -> int:
    """What can run at a time, at least 1: chunks of chains, or checkpoints where each finds its settings."""
    if isinstance(job.settings, Auto):
        return max(len(missing), 1)
    return max(sum(-(-len(s.checkpoints) * job.settings.chains // width(job.landscape)) for s in missing), 1)


def _names(logged: Sequence[str]) -> tuple[str, ...]:
    """What is asked for, each once, in one order, so that no key depends on how it was said."""
    asked = [logged] if isinstance(logged, str) else list(logged)
    for name in asked:
        if name not in LOGGED:
            raise InputError(f"logged {name!r}: there are {', '.join(LOGGED)}")
        if name in RESERVED:
            raise InputError(f"logged {name!r}: the store has a column of that name: call it otherwise")
    return tuple(name for name in LOGGED if name in asked)


def _job(landscape: Landscape, settings: Settings | Auto, test_data: Any, logged: Sequence[str]) -> Job:
    """What is computed at every checkpoint; refused where it cannot be logged."""
    test = other_data(landscape, test_data, "test") if test_data is not None else None
    job = Job(landscape, settings, test, _names(logged))
    if job.logged and isinstance(job.settings, Auto):
        raise InputError(f"logged {', '.join(job.logged)}: give tw.Settings(...), the same for all checkpoints")
    for name in job.logged:
        assert isinstance(job.settings, Settings)
        lacking = LOGGED[name].lacks(job.landscape, job.settings)
        if lacking:
            raise InputError(f"logged {name}: {lacking}")
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


def _share(checkpoints: int, workers: int | None) -> float:
    """Of a survey's seconds, what each checkpoint has: the rest is for reading, and for what pace does not tell."""
    return SPENT * min(workers or cores(), checkpoints) / checkpoints


def _resolved(chosen: Settings | Auto, landscape: Landscape, store: Store, share: float) -> Settings | Auto:
    """Choices with all filled in that sizes decide; seconds as the count that they were when the survey began.

    One localization is for all checkpoints, so that their estimates can be compared.
    """
    if isinstance(chosen, Auto):
        asked = chosen.resolve(landscape)
        asked = asked.model_copy(update={"gamma": asked.first_gamma(landscape)})
        before = store.remembered().get("settings", {}) if chosen.seconds else {}
        if all(before.get(name) == value for name, value in asked.model_dump(exclude={"budget"}).items()):
            return asked.model_copy(update={"budget": before["budget"]})
        return counted(asked, landscape, share)
    return chosen.resolve(landscape.n, len(landscape.data) if landscape.data else None)
