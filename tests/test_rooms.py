"""The layers of the house, checked by import-linter; and the measures of `benchmarks/house.py`."""

import importlib.util
from pathlib import Path

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

ROOT = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location("house", ROOT / "benchmarks" / "house.py")
assert SPEC is not None
assert SPEC.loader is not None
house = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(house)

SAMPLER = "class State: ...\n\n\ndef init(): ...\n\n\ndef step(): ...\n"
TOY = {  # file of a small house -> its text
    "__init__": "from thalweg.kitchen import cook\n\n__all__ = ['cook']",
    "errors": "class Wrong: ...\n\n\nclass _Hidden: ...",
    "kitchen/__init__": "from thalweg.kitchen.cook import cook\n\n__all__ = ['cook']",
    "kitchen/cook": "from . import pans\n\n\ndef cook(self, a, b, c, d, e, f, g): ...",
    "kitchen/pans": "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from thalweg.kitchen.lids import Lid",
    "kitchen/lids": "class Lid: ...\n\n\ndef fit():\n    from thalweg.kitchen.pans import Pan",
    "hall/__init__": "from thalweg.kitchen import cook, pans\nfrom thalweg.kitchen.lids import Lid, fit",
    "hall/door": "def door(self, *, a, b, c, d, e, f, g, **h):\n    def inner(): ...\n\n    return 1",
    "samplers/__init__": "",
    "samplers/fast": SAMPLER,
    "samplers/slow": SAMPLER,
    "samplers/table": "TABLE = {'fast': 1, 'slow': 2}",
    "hall/asks": "EXACT = ('slow',)\nMOVES = ('slow', 'walk')\nx = Settings(sampler='slow')\ny = x.sampler == 'fast'",
}


def built(root: Path, **changed: str) -> dict:
    """The measures of the small house."""
    for name, text in (TOY | changed).items():
        path = root / "src" / "thalweg" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    (root / "README.md").write_text(
        "`tw.kitchen.lids.Lid` and `tw.kitchen.cook`; `tw.kitchen.Nobody`, `tw.kitchen.lids`"
    )
    return house.measure(root)


def test_rooms_keep_their_layers():
    assert lint_imports(no_cache=True) == EXIT_STATUS_SUCCESS


def test_no_files_import_each_other():
    assert house.measure(ROOT)["circles"]["places"] == []


def test_circles_are_found_in_types_and_in_functions_too(tmp_path):
    assert built(tmp_path)["circles"]["places"] == [["thalweg.kitchen.lids", "thalweg.kitchen.pans"]]
    round_about = {"kitchen/lids": "import thalweg.hall.door", "hall/door": "from ..kitchen import pans"}
    assert built(tmp_path, **round_about)["circles"]["places"] == [
        ["thalweg.hall.door", "thalweg.kitchen.lids", "thalweg.kitchen.pans"]
    ]
    assert built(tmp_path, **{"kitchen/pans": ""})["circles"]["places"] == []


def test_a_small_house_is_measured_right(tmp_path):
    found = built(tmp_path)
    assert found["past_faces"]["places"] == [
        "src/thalweg/hall/__init__.py:1  hall -> thalweg.kitchen.pans: all of it",
        "src/thalweg/hall/__init__.py:2  hall -> thalweg.kitchen.lids: Lid, fit",
    ]
    assert found["past_faces_names"]["count"] == 3
    assert found["offered_names"]["places"] == [
        "thalweg.errors.Wrong",
        "thalweg.kitchen.cook.cook",
        "thalweg.kitchen.lids.Lid",
    ]
    assert found["public_names"]["count"] == 5 + 2 * 3
    assert found["wide"]["places"] == ["src/thalweg/hall/door.py:1  door 8"]
    assert (found["longest"]["count"], found["long"]["count"]) == (4, 0)
    assert found["by_string"]["places"] == ["src/thalweg/hall/asks.py:1", "src/thalweg/hall/asks.py:4"]
    assert (found["files"]["count"], found["lines"]["count"]) == (
        len(TOY),
        sum(text.count("\n") + 1 for text in TOY.values()),
    )
