"""A template to a file, whole or not at all."""

import os
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

from thalweg.errors import InputError


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
    aside = path.with_name(path.name + ".new")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)
    return path


def check_page(path: Path) -> None:
    """Refuse what is no name of a page, before anything is computed for it.

    Raises:
        InputError: a name that does not end in .html.
    """
    if path.suffix not in (".html", ".htm"):
        raise InputError(f"page {path.name}: its name must end in .html; tw.plot writes figures")
