"""What choices buy, drawn: curves, predictions, slopes."""

from collections.abc import Sequence

import numpy as np

from thalweg.atlas import Section, Table
from thalweg.recipes._drawing import INTERVAL, legend, panels
from thalweg.recipes.alice_and_bob._choices import COLOURS, CURVES, DELTA, NAMES, ROUNDING, Simulations, document

WITHIN = 1.5  # factor within which a curve is said to follow its prediction


def curves(found: Simulations) -> Section:
    """Curves of one inverse temperature beside their predictions."""
    told, choosers = document(found), found.choosers
    n = np.array(choosers.choices, dtype=float)
    figure, (axes,) = panels(7.6, 4.2)
    for name in (*CURVES, "realised"):
        mean, shown = np.array(told[name]), found.curves[name]
        error = shown.std(0, ddof=1) / len(shown) ** 0.5
        keep = mean > 0
        axes.errorbar(n[keep], mean[keep], np.minimum(INTERVAL * error, 0.9 * mean)[keep], fmt="o-", markersize=4,
                      linewidth=1.2, color=COLOURS[name], label=NAMES[name])  # fmt: skip
        law = found.laws.get(name)
        if law is not None and law.constant is not None and found.llc is not None:
            fine = np.geomspace(n[0], n[-1], 100)
            power = 1.0 if name == "exact" else 0.5
            line = law.constant * (found.llc * np.log(fine) / fine) ** power + law.floor
            axes.plot(fine, line, "--", color=COLOURS[name], linewidth=1, alpha=0.8)
    axes.plot([], [], "--", color="0.3", linewidth=1, label="predicted, one constant a curve")
    axes.set(xscale="log", yscale="log", xlabel="choices n", ylabel="share of Alice's return range, mean")
    legend(axes)
    words = (
        f"{choosers.alices} simulated Alices, off any grid, of logits {choosers.inverse_temperature:g} Q*/ρ; half"
        " of them in three environments of which their own actions choose. Bob is best for the mean normalised reward"
        f" of the confidence set; T1 is for one who may be {choosers.share:.0%} of his range worse, so that it cannot"
        " fall below that. Bars: 95 % of the mean.",
        f"At δ = {DELTA:g} the set misses her at some n for {told['ever_missed'] * choosers.alices:.0f} of"
        f" {choosers.alices} Alices; a certificate was exceeded for {told['exceeded'] * choosers.alices:.0f}.",
        _coefficient(found),
    )
    header = ("n", "exact, median", "exact", "sup d", "T1", "realised", "missed")
    rows = tuple(
        (f"{int(n[i]):,}", *(_share(told[k][i]) for k in ("median_exact", "exact", "distance", "t1", "realised")),
         f"{told['missed'][i]:.1%}")
        for i in range(len(n))
    )  # fmt: skip
    return Section(
        f"What choices buy: logits {choosers.inverse_temperature:g} Q*/ρ", words, figure, Table(header, rows)
    )


def _coefficient(found: Simulations) -> str:
    """What was found of lambda."""
    healthy = [one for one in found.coefficients if one["verdict"] == "healthy"]
    if found.llc is None:
        return "No estimate of λ_A is healthy, so that no prediction is drawn."
    spread = [one["raw"] for one in healthy]
    return (
        f"λ_A = {found.llc:.2f}, the mean of {len(healthy)} healthy estimates of {len(found.coefficients)}, from"
        f" {min(spread):.2f} to {max(spread):.2f}; a regular likelihood of two directions has 1."
    )


def _share(number: float) -> str:
    """Two digits; 0 for what is rounding."""
    return f"{number:.2g}" if number > ROUNDING else "0"


def slopes(simulations: Sequence[Simulations]) -> Section:
    """Slopes, fitted and predicted."""
    rows, told = [], []
    for one in simulations:
        for name, law in one.laws.items():
            low, high = law.interval
            agrees = low <= law.predicted <= high
            shape = "λ log n / n" if name == "exact" else "its root" + (f" + {law.floor:g}" if law.floor else "")
            rows.append((
                f"{one.choosers.inverse_temperature:g}", NAMES[name], f"{law.slope:.2f}", f"{low:.2f} to {high:.2f}",
                f"{law.predicted:.2f}", shape, "–" if law.constant is None else f"{law.constant:.2g}",
                "–" if law.worst is None else f"{law.worst:.2f}",
            ))  # fmt: skip
            where = f"{NAMES[name]} at {one.choosers.inverse_temperature:g} Q*/ρ"
            if agrees and law.worst is not None and law.worst <= WITHIN:
                told.append(f"{where} falls as predicted")
            else:
                how = f"{'faster' if law.slope < law.predicted else 'more slowly'} than predicted"
                off = "" if law.worst is None else f", and is off by up to a factor of {law.worst:.2f}"
                told.append(f"{where} falls {how if not agrees else 'with the predicted slope'}{off}")
    words = (
        f"By slope: {'; '.join(told)}.",
        "Slopes are of log mean against log n, intervals 90 % by bootstrap over Alices; the predicted slope is that"
        " of the prediction at the same n, log n included. The last column is the largest factor between a curve and"
        " its prediction with one fitted constant. T1 is sup d and Bob's suboptimality, which is a floor of both.",
    )
    header = ("b", "curve", "slope", "interval", "predicted", "law", "constant", "off by")
    return Section("Does it fall as predicted?", words, None, Table(header, tuple(rows)))
