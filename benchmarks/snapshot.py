"""Every number that a change must keep: results and stored arrays of fixed small cases, written as one JSON document.

    python benchmarks/snapshot.py take FILE [--only PART]     runs the cases with the thalweg that is installed
    python benchmarks/snapshot.py compare BEFORE AFTER        what differs; exit code 1 if anything does

Cases: `--tiny` of every recipe, a survey of a small network, a certificate of the example agents, two cases of
`thalweg check`. Results are compared as printed, arrays bit for bit; seconds, paths, pages and keys may differ.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import zarr
from safetensors.numpy import load_file
from torch import nn

import thalweg as tw

EXAMPLES = Path(__file__).parents[1] / "examples" / "agents"
RECIPES = ("modular-addition", "superposition", "census", "corner", "cliffs", "gym", "alice-and-bob")
PASSING = {"seconds", "out", "html", "version"}  # differs from run to run
KEY = re.compile(r"[0-9a-f]{16,64}")


def _digest(values: Any) -> str:
    a = np.ascontiguousarray(values)
    return f"{a.dtype} {a.shape} {hashlib.sha256(a.tobytes()).hexdigest()[:24]}"


def _groups(group: zarr.Group, at: str) -> Iterator[tuple[str, str]]:
    for name, member in sorted(group.members()):
        if isinstance(member, zarr.Group):
            yield from _groups(member, f"{at}/{name}")
        else:
            yield f"{at}/{name}", _digest(member[...])


def arrays(folder: Path) -> list[str]:
    """Path and digest of every array below a folder, sorted; keys in paths are left out."""
    found = list[tuple[str, str]]()
    for path in sorted(folder.rglob("*")):
        at = str(path.relative_to(folder))
        if path.suffix == ".zarr":
            found += _groups(zarr.open_group(path, mode="r"), at)
        elif path.suffix == ".safetensors":
            found += [(f"{at}/{name}", _digest(a)) for name, a in load_file(path).items()]
        elif path.suffix == ".npz":
            with np.load(path) as held:
                found += [(f"{at}/{name}", _digest(held[name])) for name in held.files]
    return sorted(f"{KEY.sub('*', at)} {digest}" for at, digest in found)


def _lasting(document: Any) -> Any:
    """Without what differs from run to run."""
    if isinstance(document, dict):
        return {k: _lasting(v) for k, v in document.items() if k not in PASSING}
    return [_lasting(v) for v in document] if isinstance(document, list) else document


def command(*words: str) -> Any:
    """What `thalweg … --json` prints."""
    done = subprocess.run([sys.executable, "-m", "thalweg", *words, "--json"], capture_output=True, text=True)
    if done.returncode == 2 or not done.stdout:
        raise RuntimeError(f"thalweg {' '.join(words)}: {done.stderr}")
    return _lasting(json.loads(done.stdout))


def recipe(name: str, folder: Path) -> dict[str, Any]:
    """A recipe at its smallest."""
    return {"results": command("recipe", "run", name, "--tiny", "--out", str(folder)), "arrays": arrays(folder)}


def survey(folder: Path) -> dict[str, Any]:
    """Three checkpoints of a small network, nothing set but the budget; then all settings given."""
    streams = torch.Generator().manual_seed(0)
    x = torch.randn(96, 3, generator=streams)
    y = (x.sum(1) > 0).long()
    module = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))
    weights = []
    for scale in (0.1, 0.6, 1.5):
        weights.append({k: scale * torch.randn(v.shape, generator=streams) for k, v in module.state_dict().items()})
    (folder / "run").mkdir(parents=True)
    for step, held in enumerate(weights):
        torch.save(held, folder / "run" / f"step-{step}.pt")
    landscape = tw.landscape(module, (x, y), loss=F.cross_entropy)
    tables = {}
    for name, settings in {
        "auto": tw.Auto(budget=4000),
        "sgld": tw.Settings(draws=200, burn_in=100, gamma=10.0),
        "hmc": tw.Settings(sampler="hmc", draws=100, burn_in=50, gamma=10.0),
    }.items():
        held = tw.survey(
            landscape,
            tw.checkpoints(folder / "run"),
            folder / f"{name}.zarr",
            settings=settings,
            workers=1,
            progress=False,
        )
        tables[name] = held.to_dataframe().to_dict("list")
    return {"results": tables, "arrays": arrays(folder)}


def certificate(folder: Path) -> dict[str, Any]:
    """The example agents."""
    return {"results": command("certify", str(EXAMPLES / "alice.toml"), str(EXAMPLES / "bob.toml")), "arrays": []}


def check(folder: Path) -> dict[str, Any]:
    """Two known coefficients."""
    return {
        "results": command("check", "nn.Linear(8)", "tms 6-gon", "--budget", "8000", "--rtol", "0.1"),
        "arrays": [],
    }


def take(only: str | None) -> dict[str, Any]:
    """All cases."""
    cases = {"survey": survey, "certificate": certificate, "check": check}
    found = {}
    for name in (*cases, *RECIPES):
        if only in (None, name):
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "out"
                found[name] = cases[name](out) if name in cases else recipe(name, out)
            print(name, file=sys.stderr)
    return found


def differences(before: Any, after: Any, at: str = "") -> Iterator[str]:
    """Where two documents differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted({*before, *after}):
            yield from differences(before.get(name), after.get(name), f"{at}/{name}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for i, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from differences(one, other, f"{at}/{i}")
    elif repr(before) != repr(after):  # NaN is like itself
        yield f"{at}: {before!r} -> {after!r}"


def main() -> None:
    """Take or compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    taking = verbs.add_parser("take")
    taking.add_argument("file", type=Path)
    taking.add_argument("--only")
    comparing = verbs.add_parser("compare")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    chosen = parser.parse_args()
    if chosen.verb == "take":
        chosen.file.write_text(json.dumps(take(chosen.only), indent=1))
        return
    found = list(differences(json.loads(chosen.before.read_text()), json.loads(chosen.after.read_text())))
    print("\n".join(found) or "the same")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
