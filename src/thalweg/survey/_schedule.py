"""The loop of a survey: hand out tasks, keep states, write shards as they are finished.

Chunks go to workers block by block, since a block's state is explicit. They are taken in order, so
that shards are finished (and safe) early; only among the last few does the least advanced come
first, so that no worker waits for another at the end.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from thalweg.estimators import estimate, trace
from thalweg.landscape import Estimate
from thalweg.runtime import Here, Workers, ended, outcome
from thalweg.samplers import SEEN, Block, Chunk, Settings, State, chunks, start, width
from thalweg.store import CheckpointRow, Store
from thalweg.survey._moments import NAMES, Moments, include, variance
from thalweg.survey._plan import Shard
from thalweg.survey._work import Job, Reading, Worker

Tick = Callable[[int], None]  # replica steps that were taken


@dataclass(eq=False)
class _Part:
    """A chunk of a shard under way."""

    chunk: Chunk
    state: State
    seen: list[Block]
    moments: Moments | None = None  # of losses of some samples at the ends of blocks; None where not asked for


@dataclass(eq=False)
class _Progress:
    """A shard under way: first its checkpoints are read, then its chunks are moved."""

    shard: Shard
    readings: dict[int, Reading] = field(default_factory=dict)
    asked: int = 0  # checkpoints handed out for reading
    parts: list[_Part] = field(default_factory=list)  # empty until all is read


class Schedule:
    """Runs the missing shards of a survey."""

    def __init__(self, job: Job, store: Store, shards: Sequence[Shard], pool: Workers | Here, tick: Tick) -> None:
        """Nothing runs before `finished` is iterated."""
        assert isinstance(job.settings, Settings)
        self.settings = job.settings
        self.job, self.store, self.pool, self.tick = job, store, pool, tick
        self.waiting = [_Progress(shard) for shard in shards]
        self.running: dict[Future, tuple[_Progress, int]] = {}

    def finished(self) -> Iterator[tuple[Shard, list[CheckpointRow]]]:
        """Yield each shard with its rows as soon as its last block is done."""
        while self.waiting:
            while len(self.running) < self.pool.depth and self._submit():
                pass
            done, failed = ended(self.running)
            for future in done:
                progress, index = self.running.pop(future)
                if not progress.parts:
                    self._read(progress, index, future.result())
                else:
                    self._moved(progress, index, *future.result())
            for progress in [p for p in self.waiting if self._complete(p)]:
                self.waiting.remove(progress)
                yield progress.shard, self._rows(progress)
            for future in failed:
                outcome(future)

    def _submit(self) -> bool:
        """Hand out the next task; False when all that is left is being done."""
        for progress in self.waiting:
            if not progress.parts and progress.asked < len(progress.shard.checkpoints):
                ready = self._next_part()
                if ready is not None and ready[0] is not progress and not self._few_left():
                    break
                index, progress.asked = progress.asked, progress.asked + 1
                checkpoint = progress.shard.checkpoints[index]
                self.running[self.pool.submit(Worker.read, checkpoint)] = (progress, index)
                return True
        ready = self._next_part()
        if ready is None:
            return False
        progress, index = ready
        part = progress.parts[index]
        self.running[self.pool.submit(Worker.move, part.chunk, part.state)] = ready
        return True

    def _next_part(self) -> tuple[_Progress, int] | None:
        """The chunk that should move next, among those that nobody moves."""
        busy = set(self.running.values())
        ready = [
            (progress, index)
            for progress in self.waiting
            for index, part in enumerate(progress.parts)
            if (progress, index) not in busy and part.state.step < self.settings.steps
        ]
        if self._few_left():
            return min(ready, key=lambda r: r[0].parts[r[1]].state.step, default=None)
        return ready[0] if ready else None

    def _few_left(self) -> bool:
        """Whether the chunks that are left are barely enough to keep every worker busy to the end."""
        left = 0
        for progress in self.waiting:
            if not progress.parts:
                replicas = len(progress.shard.checkpoints) * self.settings.chains
                left += -(-replicas // width(self.job.landscape))
            else:
                left += sum(part.state.step < self.settings.steps for part in progress.parts)
            if left >= self.pool.depth + self.pool.count:
                return False
        return True

    def _read(self, progress: _Progress, index: int, reading: Reading) -> None:
        """Keep what was read; when it is all there, cut the shard into chunks, and go on where they stopped."""
        progress.readings[index] = reading
        shard, settings = progress.shard, self.settings
        if len(progress.readings) < len(shard.checkpoints):
            return
        centers = [progress.readings[i].center for i in range(len(shard.checkpoints))]
        steps = [c.step for c in shard.checkpoints]
        cut = chunks(centers, steps, settings.chains, width(self.job.landscape))
        progress.parts = [self._resume(shard, i, chunk) for i, chunk in enumerate(cut)]

    def _resume(self, shard: Shard, index: int, chunk: Chunk) -> _Part:
        """A chunk at its last saved state, or at its start."""
        saved = self.store.load_state(shard.key, index)
        if saved is None:
            return _Part(chunk, start(chunk), [])
        tensors, step = saved
        self.tick(len(chunk.which) * step)
        seen = Block(**{name: tensors.pop(f"seen.{name}") for name in SEEN})
        kept = [tensors.pop(name) for name in NAMES if name in tensors]
        return _Part(chunk, State(tensors, step), [seen], Moments(*kept) if kept else None)

    def _moved(self, progress: _Progress, index: int, state: State, block: Block, losses: Tensor | None) -> None:
        """Keep a block, in memory and on disk."""
        part = progress.parts[index]
        part.state, part.seen = state, [Block.join([*part.seen, block])]
        part.moments = part.moments if losses is None else include(part.moments, losses)
        self.tick(block.loss.numel())
        seen = {f"seen.{name}": getattr(part.seen[0], name) for name in SEEN}
        seen |= dict(zip(NAMES, part.moments, strict=True)) if part.moments else {}
        self.store.save_state(progress.shard.key, index, state.carried | seen, state.step)

    def _complete(self, progress: _Progress) -> bool:
        """Whether every chunk of a shard is at its end."""
        return bool(progress.parts) and all(p.state.step >= self.settings.steps for p in progress.parts)

    def _rows(self, progress: _Progress) -> list[CheckpointRow]:
        """Scalars and traces of a shard's checkpoints."""
        seen = Block.join([block for part in progress.parts for block in part.seen], axis=0)
        shape = (len(progress.shard.checkpoints), self.settings.chains, -1)
        each = {name: x.reshape(shape) for name, x in seen.arrays().items()}
        variances = self._variances(progress)
        rows = []
        for i in range(shape[0]):
            reading = progress.readings[i]
            reading = replace(reading, logged=reading.logged | variances[i])
            found = trace({name: x[i] for name, x in each.items()}, self.settings, reading.center)
            rows.append(_row(progress.shard, i, reading, estimate(found, self.settings, self.job.landscape)))
        return rows

    def _variances(self, progress: _Progress) -> list[dict[str, float]]:
        """V = sum_i Var_w[log p(x_i|w)] of each checkpoint, over all chains at the ends of blocks."""
        count, n = len(progress.shard.checkpoints), self.job.landscape.n
        parts = [part.moments for part in progress.parts if part.moments is not None]
        if not parts:
            return [{}] * count
        chains = self.settings.chains
        means, squares = (torch.cat(t).split(chains) for t in ([p.mean for p in parts], [p.square for p in parts]))
        each = [Moments(parts[0].draws, *found) for found in zip(means, squares, strict=True)]
        return [{"functional_variance": n * float(variance(moments).mean())} for moments in each]


class Settling:
    """Runs the missing shards of a survey whose checkpoints find their own settings, one checkpoint a task."""

    def __init__(self, job: Job, shards: Sequence[Shard], pool: Workers | Here, tick: Tick) -> None:
        """Nothing runs before `finished` is iterated."""
        self.job, self.pool, self.tick = job, pool, tick
        self.waiting = list(shards)
        self.running: dict[Future, Shard] = {}

    def finished(self) -> Iterator[tuple[Shard, list[CheckpointRow]]]:
        """Yield each shard with its row as soon as it is done."""
        while self.waiting or self.running:
            while self.waiting and len(self.running) < self.pool.depth:
                shard = self.waiting.pop(0)
                self.running[self.pool.submit(Worker.settle, shard.checkpoints[0])] = shard
            done, failed = ended(self.running)
            for future in done:
                shard = self.running.pop(future)
                self.tick(1)
                yield shard, [_row(shard, 0, *future.result())]
            for future in failed:
                outcome(future)


def _row(shard: Shard, i: int, reading: Reading, found: Estimate) -> CheckpointRow:
    """What is written of one checkpoint; its loss and norms are those of w*, also where another point was sampled."""
    assert found.trace is not None
    center, moved = reading.center, found.trace.relaxation
    return CheckpointRow(
        step=shard.checkpoints[i].step,
        key=shard.hashes[i],
        estimate=found,
        train_loss=moved.loss if moved else center.loss,
        test_loss=reading.test_loss,
        weight_norm=moved.weight_norm if moved else float(center.params.double().norm()),
        gradient_norm=moved.gradient_norm if moved else float(center.gradient.double().norm()),
        logged=reading.logged,
    )
