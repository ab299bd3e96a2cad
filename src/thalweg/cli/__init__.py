"""The command line."""

from thalweg.cli.main import main

__all__ = ["main"]
