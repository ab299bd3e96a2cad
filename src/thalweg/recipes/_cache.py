"""Parts of a study that are written down when they are done, and not done again."""

import json
from collections.abc import Callable, Iterable
from itertools import repeat
from pathlib import Path
from typing import Any

from thalweg.recipes._parallel import in_parallel
from thalweg.runtime import atomic_write


def cached(place: Path, make: Callable[..., Any], *given: Any) -> Any:
    """What a file holds, or what is made now of what is given, plain lists and numbers, and written to it whole."""
    if not place.is_file():
        place.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(make(*given), allow_nan=False)
        with atomic_write(place) as aside:
            aside.write_text(text)
    return json.loads(place.read_text())


def all_cached(places: Iterable[Path], make: Callable[..., Any], *columns: Iterable[Any]) -> list[Any]:
    """The same of several files, in as many processes as there are cores."""
    return list(in_parallel(cached, places, repeat(make), *columns))
