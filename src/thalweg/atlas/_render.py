"""A template to a file, whole or not at all."""

from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from jinja2 import Environment, PackageLoader

from thalweg.errors import InputError, guarded
from thalweg.runtime import atomic_write, temporary


def render(template: str, path: Path, **names: Any) -> Path:
    """Fill a template and write the page.

    Raises:
        InputError: a name that does not end in .html.
    """
    check_page(path)
    environment = Environment(
        loader=PackageLoader("thalweg.atlas"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    text = environment.get_template(template).render(**names)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as aside:
        aside.write_text(text, encoding="utf-8")
    return path


def check_page(path: Path) -> None:
    """Refuse what is no name of a page, or no place for one, before anything is computed for it.

    Raises:
        InputError: a name that does not end in .html; one of a folder, or below what is no folder or cannot be
            written to.
    """
    if path.suffix not in (".html", ".htm"):
        raise InputError(f"page {path.name}: its name must end in .html; tw.plot writes figures")
    with guarded(f"page {path.name[:80]}", "give a name in a folder that can be written to"):
        for name in (path, temporary(path)):
            if name.exists() and not name.is_file():
                raise InputError(f"page {path}: there is {name.name}, which is no file: give another name")
        folder = next(above for above in path.absolute().parents if above.exists())
        if not folder.is_dir():
            raise InputError(f"page {path}: {folder} is no folder: give another place")
        with TemporaryFile(dir=folder):  # permissions do not say it all; it has no name, and leaves nothing
            pass
