"""The page of the study: levels with their polygons, the posterior's phase diagram, opposing staircases."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes

from thalweg.atlas import Section, Table, report
from thalweg.errors import InputError
from thalweg.recipes._drawing import BLUE, GREEN, GREY, INTERVAL, RED, estimates, legend, panels
from thalweg.recipes.superposition._posterior import SIDES, Crossing, PhasePosterior
from thalweg.recipes.superposition._runs import NEAR, Runs, Stair, on_level
from thalweg.recipes.superposition._table import PAPER, PAPER_THEORY, Reading
from thalweg.recipes.superposition.config import Config
from thalweg.store import Survey
from thalweg.theory import superposition_gon, superposition_loss

COLOURS = {3: GREY, 4: RED, 5: BLUE, 6: GREEN}
MOVING = 12  # curves of runs that are drawn in colour at most


@dataclass(frozen=True, eq=False)
class Findings:
    """What the study found."""

    table: list[Reading]
    posterior: PhasePosterior
    crossings: dict[int, Crossing]  # from the k-gon to the next, by k
    runs: Runs
    surveys: list[Survey]  # of each run
    known: dict[str, float]  # loss of every level, by name
    moves: list[Stair]


def write(path: Path, config: Config, found: Findings) -> Path:
    """Write the page."""
    sections = [
        _levels(config, found.runs, found.known),
        _staircases(config, found),
        _phase_diagram(config, found.posterior),
        _critical(found.posterior, found.crossings),
        _coefficients(found.table),
    ]
    return report(path, "The toy model of superposition: phases, Bayesian and dynamical", sections)


def _levels(config: Config, runs: Runs, known: dict[str, float]) -> Section:
    """Loss of all runs over the levels, a polygon at each."""
    figure, (axes, beside) = panels(8.4, 4.6, columns=2, width_ratios=(4, 1), sharey=True)
    epochs = runs.steps / (config.descent.samples // config.descent.batch_size)
    low = min(known.values())
    high = max(known["4"], float(np.quantile(runs.loss, 0.99)))
    shown = {name: level for name, level in known.items() if level <= high + 0.1 * (high - low)}
    for level in shown.values():
        axes.axhline(level, color="0.8", linewidth=0.8, zorder=0)
    for curve, stays in zip(runs.loss, runs.stays, strict=True):
        moved = len(stays) > 1
        axes.plot(epochs, curve, color=COLOURS[5] if moved else "0.55", linewidth=1.2 if moved else 0.6, alpha=0.7)
    axes.set(xlabel="epoch", ylabel="loss over all inputs (nats per sample)")
    axes.set_ylim(low - 0.12 * (high - low), high + 0.1 * (high - low))
    beside.set_xlim(0, 3)
    beside.axis("off")
    height = 0.085 * (high - low) * 1.2
    for i, (name, level) in enumerate(sorted(shown.items(), key=lambda item: item[1])):
        _polygon(beside, config.features, name, (0.5 + i % 2, level), height)
        beside.annotate(name, (2.2, level), va="center", fontsize=9)
    return Section(
        "Loss stays at the levels of polygons",
        (
            f"{config.descent.runs} runs of plain SGD from the 4-gon (n = {config.descent.samples}, batches of "
            f"{config.descent.batch_size}, learning rate {config.descent.learning_rate:g}, {config.descent.epochs:,} "
            "epochs), their loss over all inputs, exact. Runs that go from one plateau to another are blue. At the "
            "right the polygons: k corners; a + for each zero column with positive bias, a − for each dead corner.",
        ),
        figure,
    )


def _polygon(axes: Axes, features: int, name: str, centre: tuple[float, float], height: float) -> None:
    """A small drawing of the columns of W at a phase."""
    k = int(name[0])
    weights, _ = superposition_loss.gon(features, k)
    scale = np.abs(weights.numpy()).max()
    x, y = weights.numpy()[:, :k] / scale
    inset = axes.inset_axes((centre[0] - 0.4, centre[1] - height / 2, 0.8, height), transform=axes.transData)
    inset.fill(x, y, color=COLOURS.get(k, "0.5"), alpha=0.18)
    inset.plot(np.append(x, x[0]), np.append(y, y[0]), color=COLOURS.get(k, "0.5"), linewidth=1.2)
    inset.plot(0, 0, ".", color=COLOURS.get(k, "0.5"), markersize=2 + 2 * name.count("+"))
    inset.set(xlim=(-1.15, 1.15), ylim=(-1.15, 1.15), aspect="equal")
    inset.axis("off")


def _staircases(config: Config, found: Findings) -> Section:
    """Loss falls while lambda rises."""
    runs, surveys, known, moves = found.runs, found.surveys, found.known, found.moves
    moving = sorted({move.run for move in moves})[:MOVING]
    figure, (above, below) = panels(8.4, 5.2, rows=2, sharex=True)
    for run, colour in zip(moving, colormaps["viridis"](np.linspace(0, 0.9, len(moving))), strict=True):
        above.plot(runs.steps, runs.loss[run], color=colour, linewidth=1.3)
        estimates(below, surveys[run], colour)
    for name in sorted({move.before for move in moves} | {move.after for move in moves}):
        above.axhline(known[name], color="0.8", linewidth=0.8, zorder=0)
        above.annotate(name, (1.005, known[name]), xycoords=("axes fraction", "data"), va="center", fontsize=8)
    above.set_ylabel("loss (nats per sample)")
    below.set(ylabel="λ̂", xlabel="training step")
    read_moves = [move for move in moves if move.opposing is not None]
    opposing = sum(bool(move.opposing) for move in read_moves)
    clear = sum(move.d_llc is not None and move.d_llc > 2 * (move.error or 0.0) for move in moves)
    sampler = config.descent.sampler
    nbeta = surveys[0].settings[0]["nbeta"]
    rows = tuple(
        (
            str(move.run),
            f"{move.before} → {move.after}",
            f"{move.start:,} to {move.end:,}",
            f"{move.d_loss:+.4f}",
            "–" if move.d_llc is None else f"{move.d_llc:+.2f} ± {move.error:.2f}",
            "not read" if move.opposing is None else "yes" if move.opposing else "no",
            _asymptotic(config.features, move),
        )
        for move in moves
    )
    on, of = on_level(runs, known)
    healthy = np.concatenate([survey.healthy for survey in surveys]).mean()
    return Section(
        "Opposing staircases",
        (
            f"Plateaus are found from the loss alone; {on:,} of their {of:,} checkpoints lie within {NEAR:g} of a"
            f" level. {len(moves)} moves from one plateau to the next in {len(runs.weights)} runs; in {opposing} of "
            f"{len(read_moves)} where λ̂ was read on both, loss falls and λ̂ rises, in {clear} by more than 2 errors.",
            f"λ̂ on the run's own {config.descent.samples} samples, nll = |x − f(x)|², nβ = {nbeta:.4g}, γ = "
            f"{sampler.gamma:g}, {sampler.chains} chains of {sampler.draws} HMC draws; {healthy:.0%} of "
            f"{sum(len(s) for s in surveys)} estimates healthy, the others hollow. The rise belongs to this "
            "nβ: the last column is what the theory says for n without end.",
        ),
        figure if moving else None,
        Table(("run", "move", "steps", "Δ loss", "Δ λ̂", "opposing", "Δ λ"), rows) if rows else None,
    )


def _asymptotic(features: int, move: Stair) -> str:
    """The change of the phases' lambda, where both are known minima."""
    try:
        before, after = (
            superposition_gon(features, int(name[0]), name.count("+")).llc for name in (move.before, move.after)
        )
    except InputError:  # zero columns of both kinds
        return "–"
    return "–" if "-" in move.before + move.after else f"{float(after - before):+g}"


def _phase_diagram(config: Config, found: PhasePosterior) -> Section:
    """Shares of the posterior as n grows."""
    figure, (axes,) = panels(8.4, 3.8)
    shares = {k: found.shares(k) for k in COLOURS}
    axes.stackplot(found.rungs, [shares[k][0] for k in COLOURS], colors=list(COLOURS.values()), alpha=0.25,
                   labels=[f"{k} corners" for k in COLOURS])  # fmt: skip
    base = np.zeros(len(found.rungs))
    for k in COLOURS:
        for side, marker in zip(SIDES, ("v", "^"), strict=True):
            axes.plot(found.rungs, base + found.shares(k, side)[0], marker, color=COLOURS[k], markersize=3)
        base = base + shares[k][0]
    axes.set(xscale="log", xlabel="n", ylabel="share of the posterior", ylim=(0, 1.02))
    axes.set_xlim(found.rungs[0], found.rungs[-1])
    legend(axes, loc="center left", bbox_to_anchor=(1, 0.5))
    tempering = config.tempering
    rows = tuple(
        (f"{n:g}", *(f"{shares[k][0][j]:.3f} ± {shares[k][1][j]:.3f}" for k in (4, 5, 6)))
        for j, n in enumerate(found.rungs)
    )
    return Section(
        "The phase of a Bayesian",
        (
            "Posterior exp(−nL) under a standard normal prior, L exact, nll = |x − f(x)|² (with one half of it all n "
            f"double). Parallel tempering: {2 * tempering.ladders} ladders of {len(tempering.rungs)} rungs, "
            f"{tempering.sweeps:,} sweeps; half of the ladders begin at the 4-gon (▼), half at the 6-gon (▲). Below "
            "n = 70 or so the prior's own geometry is counted.",
        ),
        figure,
        Table(("n", "4 corners", "5 corners", "6 corners"), rows),
    )


def _critical(found: PhasePosterior, crossings: dict[int, Crossing]) -> Section:
    figure, beside = panels(8.4, 3.4, columns=len(crossings))
    for axes, (k, each) in zip(beside, crossings.items(), strict=True):
        axes.axhline(0, color="0.7", linewidth=0.8)
        axes.plot(found.rungs, each.measured, "o", color=COLOURS[5], markersize=4, label="by shares")
        axes.errorbar(found.rungs, each.integrated, INTERVAL * each.error, color=COLOURS[6], linewidth=1,
                      elinewidth=0.7, label="by integration")  # fmt: skip
        shift = each.measured - each.effective
        axes.plot(
            found.rungs, shift + each.constant, color=COLOURS[4], linestyle="--", label="nΔL + Δλ log n + Δ½|w|²"
        )
        axes.set(xscale="log", xlabel="n", title=f"{k} → {k + 1}")
    beside[0].set_ylabel("difference of free energy (nats)")
    legend(beside[0])

    def shown(value: float | None) -> str:
        return "none" if value is None else f"{value:.0f}"

    def constant(each: Crossing) -> str:
        seen = each.effective[np.isfinite(each.effective)]
        return "–" if not len(seen) else f"{seen[len(seen) // 2 :].min():.2f} to {seen[len(seen) // 2 :].max():.2f}"

    rows = tuple(
        (f"{k} → {k + 1}", shown(e.predicted), shown(e.leading), shown(e.observed), f"{e.constant:+.2f}", constant(e))
        for k, e in crossings.items()
    )
    return Section(
        "Predicted and observed critical n",
        (
            "F = nL + λ log n + c. The prior's part of c is ½|w*|²; c also holds the determinant of the Hessian, the"
            " volume of flat directions (of a dead column) and of the orbit. The difference of free energies measured"
            " by shares, and by thermodynamic integration along the ladder, has nothing left out; the constant that"
            " it implies stands in the last column. Shares pool all phases of k corners (5 with 5+).",
        ),
        figure,
        Table(("phases", "predicted n", "without c", "observed n", "c of the prior", "c that shares imply"), rows),
    )


def _coefficients(table: list[Reading]) -> Section:

    def verdict(reading: Reading) -> str:
        if reading.agrees is None:
            return reading.verdict
        return "agrees" if reading.agrees else f"{reading.llc / reading.theory - 1:+.0%}" if reading.llc else ""

    theirs = {phase: f"λ = {llc:g}" for phase, llc in PAPER_THEORY.items()}
    rows = tuple(
        (
            r.phase,
            f"{r.n:,}",
            f"{r.nbeta:.4g}",
            f"{r.loss:.5f}",
            f"{r.raw:.2f} ± {r.stderr:.2f}" if r.llc is not None else f"({r.raw:.2f} ± {r.stderr:.2f})",
            f"{r.theory:g}",
            "–" if r.quadratic is None else f"{r.quadratic:.2f}",
            verdict(r),
            PAPER.get(r.phase, "–") if r.n == 5000 else theirs.get(r.phase, "–"),
        )
        for r in table
    )
    header = ("phase", "n", "nβ", "L", "λ̂", "λ", "parabola", "against λ", "paper")
    return Section(
        "The coefficient of each phase",
        (
            f"γ = {table[0].gamma:g}, HMC on the exact loss, nll = |x − f(x)|². λ of the 4-gons is our own"
            " derivation: their loss is once, not twice differentiable, and a zero column costs both of its"
            " weights. “Parabola” is the exact value at this nβ and γ of the loss's second-order part; numbers in"
            " brackets are unhealthy.",
            *_contested(table),
        ),
        None,
        Table(header, rows),
    )


def _contested(table: list[Reading]) -> tuple[str, ...]:
    """Whether the estimates side with our values for the 4-gons or with the paper's, at the largest n."""
    most, said = max(reading.n for reading in table), []
    for r in table:
        if r.n == most and r.phase in PAPER_THEORY:
            number = "no healthy λ̂" if r.llc is None else f"λ̂ = {r.llc:.2f} ± {r.stderr:.2f}"
            side = "agrees" if r.agrees else "does not agree"
            said.append(
                f"{r.phase} at n = {most:,}: {number}, which {side} within 3 % with our {r.theory:g}; the"
                f" paper's critical n of 380 for 4+ → 5 needs λ = {PAPER_THEORY[r.phase]:g}."
            )
    return tuple(said)
