"""How accurate are the estimates? The cases of `thalweg check`, and the same seconds for the peers.

    python benchmarks/accuracy.py [--json FILE ...] [--cap SECONDS] [--seed N] [--share I/N] [part of a name ...]

Ours has nothing set but its error. The peers, devinterp 1.3.2 and canonical-interp 0.1.5, run with the settings that
their documentation shows and with those that their own tests of known coefficients take, at our nbeta = n / log n and
gamma, and draw as long as we took for that case; compiling and building are not counted, for the peers alone. All
estimates are held against one truth, exact at the finite n, nbeta and gamma. One process works at a time, on one
thread; with `--share I/N`, one for each share, on cores of their own. Writes docs/accuracy.md; with --json, rows that
are there already are not measured again.
"""

import argparse
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch

from sgld import _environment
from thalweg.check import BUDGET, CASES, RTOL, Case
from thalweg.check._run import _measure
from thalweg.estimators import Auto

ROOT = Path(__file__).parents[1]
LIGHT = ("scipy", "pydantic", "arviz-stats", "xarray", "zarr", "loky", "psutil", "rich", "typer")
LOST = 100.0  # times the truth, from which a chain has run away


@dataclass(frozen=True)
class Way:
    """How a peer is run.

    Attributes:
        peer: which.
        label: column of the table.
        lr: step size, of potentials of one vector and of layers of matrices.
        chains: of the same two.
        burn_in: steps before the draws, for each draw.
        draws: at least so many, what its documentation takes.
        source: where the settings stand.
    """

    peer: str
    label: str
    lr: tuple[float, float]
    chains: tuple[int, int]
    burn_in: float
    draws: int
    source: str


WAYS = (
    Way(
        "devinterp",
        "devinterp, as shown",
        (4e-4, 4e-4),
        (3, 3),
        0.0,
        100,
        "its `examples/introduction.ipynb`",
    ),
    Way(
        "canonical",
        "canonical-interp, as shown",
        (1e-5, 1e-5),
        (10, 10),
        0.5,
        200,
        "the quick start of its README",
    ),
    Way(
        "devinterp",
        "devinterp, as tested",
        (2e-4, 6e-5),
        (10, 3),
        0.0,
        100,
        "its `tests/slt/sampler_accuracy_test.py` for functions of one vector, `rrr_test.py` for layers",
    ),
    Way(
        "canonical",
        "canonical-interp, lr 1e-4",
        (1e-4, 1e-4),
        (10, 10),
        1 / 6,
        200,
        "its `tests/test_known_rlct.py` for monomials, and the upper end of the README's range",
    ),
)


class Peer:
    """A peer in its own Python, asked by lines of JSON."""

    def __init__(self, name: str) -> None:
        python = _environment(name)
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
        if subprocess.run(
            [str(python), "-c", "import thalweg.check"], env=environment, stderr=subprocess.DEVNULL
        ).returncode:
            pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "-q"]
            subprocess.run([*pip, *LIGHT], check=True)
        words = [str(python), str(Path(__file__).with_name("peers_accuracy.py")), name]
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.about = self.read()

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """One estimate."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self.read()

    def read(self) -> dict[str, Any]:
        """The next line that is an answer."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("ROW "):
                return json.loads(line[4:])
        raise SystemExit("a peer ended before its answer")

    def close(self) -> None:
        """No more questions."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def ours(case: Case, seed: int) -> dict[str, Any]:
    """Our estimate, with nothing set but its error, and the truth."""
    line = _measure(case.name, Auto(rtol=RTOL, budget=BUDGET, seed=seed))
    return {
        "llc": line.llc_raw,
        "d": line.d,
        "truth": line.finite_n_truth,
        "gamma": line.gamma,
        "verdict": line.verdict,
        "seconds": line.seconds,
    }


def run(
    cases: list[Case], rows: dict[str, dict], peers: dict[str, Peer], cap: float, seed: int, keep: Path | None
) -> None:
    """Case by case, ours and then the peers, back to back."""
    for case in cases:
        row = rows.setdefault(case.name, {})
        if "ours" not in row:
            row["ours"] = ours(case, seed)
        layers = len(case.make().params) > 1
        for way in WAYS if row["ours"]["seconds"] <= cap else ():
            if way.label not in row:
                row[way.label] = peers[way.peer].ask(
                    {
                        "case": case.name,
                        "seconds": row["ours"]["seconds"],
                        "gamma": row["ours"]["gamma"],
                        "lr": way.lr[layers],
                        "chains": way.chains[layers],
                        "burn_in": way.burn_in,
                        "draws": way.draws,
                    }
                )
        print(
            case.name,
            *(cell(row, label) for label in ("ours", *(way.label for way in WAYS)) if label in row),
            sep=" | ",
        )
        if keep:
            keep.write_text(json.dumps(rows, indent=1))


def error(row: dict[str, dict], label: str) -> float:
    """Relative error; infinite without a number, and where chains ran away."""
    value, truth = row[label]["llc"], row["ours"]["truth"]
    return float("inf") if value is None or abs(value) > LOST * truth else abs(value / truth - 1)


def cell(row: dict[str, dict], label: str) -> str:
    """Ratio to the truth, and the seconds."""
    lost = not np.isfinite(error(row, label))
    ratio = "lost" if lost else f"{row[label]['llc'] / row['ours']['truth']:.3f}"
    return f"{ratio} ({row[label]['seconds']:.1f})"


HEAD = """# The same seconds, side by side

`python benchmarks/accuracy.py`: the cases of [the check](check.md), each with a known truth, estimated by us and by
two peers, devinterp {devinterp} and canonical-interp {canonical} (torch {torch}). All take the same nβ = n / log n
and the same γ = 1, and are held against the same truth: nβ E[K] under the localized posterior at that n, nβ and γ,
not against λ. Ours has nothing set but the error asked for, {rtol:.1%}; the peers draw for as many seconds as we
took (at least their shortest documented run), on gradients of the full data. Ours pays for its calibration; building
and compiling cost the peers nothing. One thread for each process, one process for each of {cores} cores.

{summary}

{ratio}

| peer | lr | chains | burn-in for each draw | from |
| --- | --- | --- | --- | --- |
{settings}

Two lr or chains: functions of one vector, then several layers or matrices. An estimate that is no number, or beyond
{lost:.0f} times the truth, is *lost* and its error infinite. One step size for all cases is what misses: where nβ h
is large the chains diverge or read high, where it is small they have hardly left w\\* when the seconds are over, and
read low. Neither peer says which of the two has happened. A peer's own guide would have its lr and γ chosen by hand
for each model, from sweeps; the seconds of those sweeps are not part of this table, and neither is what they gain.

Ratio of the estimate to the truth, and the seconds:

| case | d | truth | {columns} |
| --- | ---: | ---: | {rule} |
"""


def page(rows: dict[str, dict], about: dict[str, dict]) -> str:
    """The table as Markdown."""
    labels = ["ours", *(way.label for way in WAYS)]
    full = {name: row for name, row in rows.items() if all(label in row for label in labels)}
    errors = {label: np.array([error(row, label) for row in full.values()]) for label in labels}
    summary = [
        f"| | median relative error | of the finite | largest | lost, of {len(full)} |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for label, found in errors.items():
        finite = found[np.isfinite(found)]
        worst = "∞" if len(finite) < len(found) else f"{found.max():.1%}"
        median = float(np.median(found))
        summary.append(
            f"| {label} | {'∞' if np.isinf(median) else f'{median:.2%}'} | {np.median(finite):.2%} | {worst}"
            f" | {len(found) - len(finite)} |"
        )
    best = min(labels[1:], key=lambda label: np.median(errors[label]))
    left = [name for name in rows if name not in full]
    ratio = (
        f"The best of the four is “{best}”: its median error is"
        f" {np.median(errors[best]) / np.median(errors['ours']):.1f} times ours."
    )
    if left:
        ratio += f" Left out, since we took too long for the peers to follow: {', '.join(left)}."
    settings = [
        f"| {way.label} | {_both(way.lr)} | {_both(way.chains)} | {way.burn_in:.2g} | {way.source} |" for way in WAYS
    ]
    head = HEAD.format(
        devinterp=about["devinterp"]["version"],
        canonical=about["canonical"]["version"],
        torch=about["devinterp"]["torch"].split("+")[0],
        rtol=RTOL,
        cores=os.cpu_count(),
        summary="\n".join(summary),
        ratio=ratio,
        settings="\n".join(settings),
        lost=LOST,
        columns=" | ".join(labels),
        rule=" | ".join("---:" for _ in labels),
    )
    lines = [
        f"| {name.replace('|', '∣')} | {row['ours']['d']} | {row['ours']['truth']:.4f} | "
        + " | ".join(cell(row, label) for label in labels)
        + " |"
        for name, row in full.items()
    ]
    return head + "\n".join(lines) + "\n"


def _both(pair: tuple[float, float]) -> str:
    """One number where both are the same."""
    return f"{pair[0]:g}" if pair[0] == pair[1] else f"{pair[0]:g}, {pair[1]:g}"


def main() -> None:
    """Measure what is not there yet, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--json", type=Path, nargs="+", default=[], help="go on from these rows, keep them in the first"
    )
    parser.add_argument("--share", default="0/1", help="I/N: measure every N-th case only, from the I-th on")
    parser.add_argument("--cap", type=float, default=30.0, help="seconds of ours, beyond which a case is left out")
    parser.add_argument("--seed", type=int, default=0, help="names our random streams")
    parser.add_argument("names", nargs="*", help="parts of the names of cases")
    words = parser.parse_args()
    torch.set_num_threads(1)
    chosen = [case for case in CASES if not words.names or any(name in case.name for name in words.names)]
    chosen.sort(key=lambda case: case.make().data is not None)  # modules last
    first, count = (int(part) for part in words.share.split("/"))
    chosen = chosen[first::count]
    rows: dict[str, dict] = {}
    for place in words.json:
        rows |= json.loads(place.read_text()) if place.exists() else {}
    peers = {way.peer: Peer(way.peer) for way in WAYS[:2]}
    run(chosen, rows, peers, words.cap, words.seed, words.json[0] if words.json else None)
    for peer in peers.values():
        peer.close()
    text = page(
        {case.name: rows[case.name] for case in CASES if case.name in rows}, {k: p.about for k, p in peers.items()}
    )
    (ROOT / "docs" / "accuracy.md").write_text(text)
    print(text[: text.index("| peer |")])


if __name__ == "__main__":
    main()
