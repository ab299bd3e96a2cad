"""What goes wrong, in two kinds: the input is wrong, or an estimate is unhealthy."""


class ThalwegError(Exception):
    """Base of every error that this package raises on purpose."""


class InputError(ThalwegError, ValueError):
    """The input is wrong. The message is one line: the thing, and what to do about it."""


class UnhealthyError(ThalwegError):
    """The value of an unhealthy estimate was asked for; `.raw` holds the number."""
