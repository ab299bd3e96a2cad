"""What will be long is said on standard error, before it begins."""

import logging

import typer

from thalweg.effort import LOG


class _Announced(logging.Handler):
    """Lines of the library's logger."""

    def emit(self, record: logging.LogRecord) -> None:
        typer.echo(self.format(record), err=True)


def say_what_is_long() -> None:
    """From now on."""
    LOG.setLevel(logging.INFO)
    LOG.handlers = [_Announced()]
