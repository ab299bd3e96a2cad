"""Signs of life of a survey: a bar on a terminal; elsewhere a line every 15 seconds, with what was read meanwhile.

The lines are those of the logger `thalweg`, at the level INFO; the command prints them on standard error.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from thalweg.effort import LOG, spoken
from thalweg.store import CheckpointRow

EVERY = 15.0  # seconds


class Signs(NamedTuple):
    """What a survey tells while it runs.

    Attributes:
        tick: units of work that were done.
        tell: what was found of checkpoints.
    """

    tick: Callable[[int], None]
    tell: Callable[[Sequence[CheckpointRow]], None]


@contextmanager
def shown(total: int, done: int, wanted: bool | None) -> Iterator[Signs]:
    """Show how far it is.

    Args:
        total: units of work in all.
        done: of them, before.
        wanted: a bar; default where standard error is a terminal, and lines elsewhere.
    """
    console = Console(stderr=True)
    bar = console.is_terminal if wanted is None else wanted
    try:
        with _bar(console, total, done) if bar else _lines(total, done) as signs:
            yield signs
    except KeyboardInterrupt:
        if bar:
            console.print("stopped: every finished block is kept, the same call goes on from there")
        raise


@contextmanager
def _bar(console: Console, total: int, done: int) -> Iterator[Signs]:
    """A bar of all work."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("survey", total=total, completed=done)
        yield Signs(lambda steps: progress.advance(task, steps), lambda rows: None)


@contextmanager
def _lines(total: int, done: int) -> Iterator[Signs]:
    """A line every now and then, with the time to go from the pace so far, and what was read since the last."""
    began, over, taken, read = time.monotonic(), Event(), [0], list[str]()

    def beat() -> None:
        while not over.wait(EVERY):
            spent = time.monotonic() - began
            left = total - done - taken[0]
            to_go = f", {spoken(spent * left / taken[0])} to go" if taken[0] else ""
            LOG.info("survey: %.0f%% after %s%s", 100 * (done + taken[0]) / total, spoken(spent), to_go)
            while read:
                LOG.info(read.pop(0))

    def tick(steps: int) -> None:
        taken[0] += steps

    def tell(rows: Sequence[CheckpointRow]) -> None:
        for row in rows:
            found = row.estimate
            read.append(f"step {row.step}: {found.raw:.4g} +- {found.stderr:.2g}, {found.verdict}")

    thread = Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield Signs(tick, tell)
    finally:
        over.set()
        thread.join()
