"""The layers of the house, checked by import-linter."""

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports


def test_rooms_keep_their_layers():
    assert lint_imports(no_cache=True) == EXIT_STATUS_SUCCESS
