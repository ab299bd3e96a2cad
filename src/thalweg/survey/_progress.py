"""Signs of life of a survey: a bar on a terminal; elsewhere a line every 15 seconds, and one for each checkpoint.

The lines are those of the logger `thalweg`, at the level INFO; the command prints them on standard error.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from thalweg.effort import LOG, spoken
from thalweg.store import CheckpointRow

EVERY = 15.0  # seconds

Tick = Callable[[int], None]


@contextmanager
def shown(total: int, done: int, wanted: bool | None) -> Iterator[Tick]:
    """Show how far it is.

    Args:
        total: units of work in all.
        done: of them, before.
        wanted: a bar; default where standard error is a terminal, and lines elsewhere.
    """
    console = Console(stderr=True)
    bar = console.is_terminal if wanted is None else wanted
    try:
        with _bar(console, total, done) if bar else _lines(total, done) as tick:
            yield tick
    except KeyboardInterrupt:
        if bar:
            console.print("stopped: every finished block is kept, the same call goes on from there")
        raise


def tell(rows: Sequence[CheckpointRow]) -> None:
    """Say what was found of checkpoints, as soon as it is there."""
    for row in rows:
        found = row.estimate
        LOG.info("step %d: %.4g +- %.2g, %s", row.step, found.raw, found.stderr, found.verdict)


@contextmanager
def _bar(console: Console, total: int, done: int) -> Iterator[Tick]:
    """A bar of all work."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("survey", total=total, completed=done)
        yield lambda steps: progress.advance(task, steps)


@contextmanager
def _lines(total: int, done: int) -> Iterator[Tick]:
    """A line every now and then, with the time to go from the pace so far."""
    began, over, taken = time.monotonic(), Event(), [0]

    def beat() -> None:
        while not over.wait(EVERY):
            spent = time.monotonic() - began
            left = total - done - taken[0]
            to_go = f", {spoken(spent * left / taken[0])} to go" if taken[0] else ""
            LOG.info("survey: %.0f%% after %s%s", 100 * (done + taken[0]) / total, spoken(spent), to_go)

    def tick(steps: int) -> None:
        taken[0] += steps

    thread = Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield tick
    finally:
        over.set()
        thread.join()
