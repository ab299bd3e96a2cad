"""Parts of a study that are written down when they are done, and not done again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from thalweg.runtime import atomic_write


def cached(place: Path, make: Callable[[], Any]) -> Any:
    """What a file holds, or what is made now and written to it, whole or not at all.

    Args:
        place: of the file; folders are made.
        make: gives plain lists and numbers.
    """
    if not place.is_file():
        place.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(make(), allow_nan=False)
        with atomic_write(place) as aside:
            aside.write_text(text)
    return json.loads(place.read_text())
