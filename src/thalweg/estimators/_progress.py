"""A bar on standard error for one long estimate."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


@contextmanager
def bar(budget: int, visible: bool | None) -> Iterator[Callable[[float], None]]:
    """Show gradients spent of a budget; None shows them where standard error is a terminal."""
    shown = sys.stderr.isatty() if visible is None else visible
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f} gradients"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=not shown) as progress:
        task = progress.add_task("sampling", total=budget)
        yield lambda spent: progress.advance(task, spent)
