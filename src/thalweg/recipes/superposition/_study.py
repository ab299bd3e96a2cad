"""Dynamical and Bayesian transitions in the toy model of superposition: six features in the plane.

Source: Chen, Lau, Mendel, Wei & Murfet 2023 (arXiv:2310.06301), which the essay quotes. The loss is exact; its
phases are polygons. Three questions: what lambda is in each phase; which phase a Bayesian of n samples is in, and
whether free energy foretells where it changes; which phases gradient descent passes through, and whether lambda
rises as loss falls. Everywhere nll = |x - f(x)|^2, without one half.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from thalweg.recipes.recipe import Outcome, Recipe, Stages
from thalweg.recipes.superposition import _page as page
from thalweg.recipes.superposition._posterior import SIDES, Crossing, PhasePosterior, crossing, sample
from thalweg.recipes.superposition._runs import NEAR, descend, levels, on_level, stairs, survey_all
from thalweg.recipes.superposition._table import read
from thalweg.recipes.superposition.config import Config, paper, tiny
from thalweg.runtime import all_finite

CORNERS = (3, 4, 5, 6)
FEWEST = 100  # draws of both phases at a rung where their free energies are compared


def run(config: Config, out: Path, seed: int, stages: Stages) -> Outcome:
    """Phases, posterior, runs; then the page."""
    c = config.features
    stages.say("the coefficient of every phase")
    table = read(c, config.phases, out / "phases", seed)
    stages.say("the posterior over phases, from opposite starts")
    found = sample(c, config.tempering, out / "posterior", seed)
    crossings = {k: crossing(found, c, k, FEWEST) for k in (4, 5)}
    runs = descend(c, config.descent, out / "descent" / "runs.safetensors", seed, stages.say)
    stages.say("surveys of all runs")
    surveys = survey_all(c, config.descent, runs, out / "descent", seed)
    known = levels(c)
    moves = stairs(runs, surveys, known)
    study = page.Findings(table, found, crossings, runs, surveys, known, moves)
    html = page.write(out / "map.html", config, study)
    healthy = np.concatenate([survey.healthy for survey in surveys])
    return Outcome(_results(study), html, float((~healthy).mean()))


def _results(study: page.Findings) -> dict[str, Any]:
    """The document's `results`; `docs/recipes/superposition.md` explains each name."""
    found, runs, moves = study.posterior, study.runs, study.moves
    on, total = on_level(runs, study.known)
    read = [move.opposing for move in moves if move.opposing is not None]
    return {
        "levels": study.known,
        "phases": [asdict(reading) | {"agrees": reading.agrees} for reading in study.table],
        "posterior": {
            "n": found.rungs.tolist(),
            "shares": {str(k): found.shares(k)[0].tolist() for k in CORNERS},
            "stderr": {str(k): found.shares(k)[1].tolist() for k in CORNERS},
            "from": {str(side): {str(k): found.shares(k, side)[0].tolist() for k in CORNERS} for side in SIDES},
        },
        "critical_n": {f"{k}->{k + 1}": _crossing(found, each) for k, each in study.crossings.items()},
        "runs": [
            {
                "steps": survey.column("step").tolist(),
                "plateaus": [asdict(stay) for stay in stays],
                **{name: survey.to_dict()[name] for name in ("llc", "verdicts", "transitions")},
            }
            for stays, survey in zip(runs.stays, study.surveys, strict=True)
        ],
        "plateau_checkpoints": total,
        "on_a_level": on / total if total else None,
        "near": NEAR,
        "stairs": [asdict(move) | {"opposing": move.opposing} for move in moves],
        "opposing": sum(read) / len(read) if read else None,
        "opposing_of": len(read),
    }


def _crossing(found: PhasePosterior, each: Crossing) -> dict[str, Any]:
    """One crossing for JSON."""
    return {
        "predicted": each.predicted,
        "without_constants": each.leading,
        "observed": each.observed,
        "prior_constant": each.constant,
        "n": found.rungs.tolist(),
        "effective_constant": all_finite(each.effective),
        "free_energy_by_shares": all_finite(each.measured),
        "free_energy_by_integration": all_finite(each.integrated),
        "integration_error": all_finite(each.error),
    }


RECIPE = Recipe(
    name="superposition",
    summary="Polygons in the toy model of superposition: their coefficients, a Bayesian's phase, gradient descent's.",
    paper=paper,
    tiny=tiny,
    run=run,
)
