"""The command line."""

try:
    from thalweg.cli.main import main
except KeyboardInterrupt:  # while torch is being imported: a traceback would tell nothing
    raise SystemExit(130) from None

__all__ = ["main"]
