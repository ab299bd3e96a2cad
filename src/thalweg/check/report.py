"""The check as a page of Markdown, for the docs."""

from thalweg.check._run import Report

HEAD = """# Is it right?

`thalweg check` estimates the learning coefficient of {count} landscapes whose truth is known, with nothing set but
the error asked for ({rtol}), and holds each estimate against nβ E[K] under its own localized posterior: at the
finite n, nβ and γ used, not against the asymptotic λ, from which the first differs by up to a third.

Median relative error **{median:.2%}**, largest {worst:.2%}, {coverage:.0%} of the 95 % intervals hold the truth,
{healthy} of {count} verdicts are healthy; {seconds:.0f} s on two cores.

| case | d | λ | m | truth at finite n | from | λ̂ ± se | ratio | verdict | s |
| --- | ---: | ---: | ---: | ---: | --- | ---: | ---: | --- | ---: |
"""


def page(report: Report, rtol: float) -> str:
    """Markdown of all cases."""
    head = HEAD.format(
        count=len(report.cases),
        rtol=f"{rtol:.1%}",
        median=report.median,
        worst=max(line.error for line in report.cases),
        coverage=report.coverage,
        healthy=sum(line.verdict == "healthy" for line in report.cases),
        seconds=report.seconds,
    )
    rows = [
        f"| {c.name.replace('|', '∣')} | {c.d} | {c.llc_true:.4g} | {c.multiplicity} | {c.finite_n_truth:.4f}"
        f" | {c.truth_from} | {c.llc_raw:.4f} ± {c.stderr:.4f} | {c.ratio:.4f} | {c.verdict} | {c.seconds:.1f} |"
        for c in report.cases
    ]
    return head + "\n".join(rows) + "\n"
