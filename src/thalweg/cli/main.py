"""The command line. Exit code 0: done; 1: done, but unhealthy; 2: not done, one line says why; 130: Ctrl-C."""

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.main import get_command

import thalweg
from thalweg.atlas import atlas, check_page, plot
from thalweg.certificates import certify_agents, read_agents
from thalweg.check import BUDGET, RTOL, Line, check, page
from thalweg.checkpoints import checkpoints
from thalweg.cli import _certificates as certificates
from thalweg.cli import _names as names
from thalweg.cli import _surfaces as surfaces
from thalweg.cli._announced import say_what_is_long
from thalweg.cli._aside import aside
from thalweg.cli._ending import ended
from thalweg.recipes import RECIPES, UNHEALTHY_SHARE, find
from thalweg.runtime import claim_process, one_thread
from thalweg.store import MOVED, Survey, open_survey
from thalweg.survey import survey

app = typer.Typer(
    help="Measure and map how learning machines develop.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

recipe_app = typer.Typer(help="Studies that run from nothing to a page.", no_args_is_help=True)
app.add_typer(recipe_app, name="recipe")


@app.callback(invoke_without_command=True)
def _version_or_help(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Measure and map how learning machines develop."""
    say_what_is_long()
    if version:
        typer.echo(thalweg.__version__)
        raise typer.Exit


Model = Annotated[str | None, typer.Option(help="FILE.py:NAME of a module, or of what makes one.")]
Data = Annotated[
    str | None, typer.Option(help="FILE.py:NAME of (inputs, targets), a Dataset or DataLoader, or of what makes it.")
]
Loss = Annotated[str | None, typer.Option(help="cross_entropy, mse, …, or FILE.py:NAME.")]
Whole = Annotated[
    str | None,
    typer.Option("--landscape", help="FILE.py:NAME of a Landscape, or of what makes one; in place of those three."),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


@recipe_app.command("list")
def _list_recipes(as_json: Json = False) -> None:
    """List the recipes."""
    if as_json:
        _print_json([{"recipe": name, "summary": r.summary} for name, r in RECIPES.items()])
        return
    for name, recipe in RECIPES.items():
        typer.echo(f"{name:20} {recipe.summary}")


@recipe_app.command("run")
def _run_recipe(
    name: Annotated[str, typer.Argument(help="From `thalweg recipe list`.")],
    tiny: Annotated[bool, typer.Option("--tiny", help="The same study in seconds.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for all that it writes.", show_default="runs/NAME-seedN")
    ] = None,
    seed: Annotated[int, typer.Option(help="Names every random stream.")] = 0,
    as_json: Json = False,
) -> None:
    """Run a recipe. Run again, it goes on where it stopped."""
    recipe = find(name)
    place = out or Path("runs") / f"{name}-{'tiny-' if tiny else ''}seed{seed}"
    with aside():
        document = recipe.study(place, tiny=tiny, seed=seed)
    if as_json:
        _print_json(document)
    else:
        typer.echo(f"{document['verdict']}, {document['seconds']:.0f} s")
        for transition in document["results"].get("transitions", []):
            typer.echo(f"type {transition['kind']}: steps {transition['start']} to {transition['end']}")
        typer.echo(Path(document["html"]).resolve())
    raise typer.Exit(0 if document["verdict"] == "healthy" else 1)


@app.command("survey")
def _run_survey(
    folder: Annotated[Path, typer.Argument(help="Holds the checkpoints of one run.")],
    out: Annotated[Path, typer.Option(help="Folder for the result.")],
    model: Model = None,
    data: Data = None,
    loss: Loss = None,
    whole: Whole = None,
    test: Annotated[str | None, typer.Option(help="FILE.py:NAME of test data.")] = None,
    restrict: Annotated[list[str] | None, typer.Option(help="Pattern of parameter names that move.")] = None,
    kind: Annotated[
        str | None, typer.Option(help="Of point: at, orthogonal, tilted or relaxed.", show_default="at")
    ] = None,
    orthogonal: Annotated[bool, typer.Option("--orthogonal", help="The same as --kind orthogonal.")] = False,
    n: Annotated[int | None, typer.Option(help="Sample size of the theory.", show_default="samples")] = None,
    rtol: Annotated[float | None, typer.Option(help="Relative error to stop at.", show_default="chosen")] = None,
    budget: Annotated[int | None, typer.Option(help="Full gradients a chain may take.", show_default="20000")] = None,
    seconds: Annotated[float | None, typer.Option(help="For all checkpoints, turned into such a budget.")] = None,
    sampler: Annotated[str | None, typer.Option(help="sgld, sghmc, hmc, …", show_default="chosen")] = None,
    chains: Annotated[int | None, typer.Option(help="Chains for each checkpoint.", show_default="chosen")] = None,
    draws: Annotated[int | None, typer.Option(help="Steps that count.", show_default="chosen")] = None,
    burn_in: Annotated[int | None, typer.Option(help="Steps before them.", show_default="chosen")] = None,
    step_size: Annotated[float | None, typer.Option(help="eps.", show_default="chosen")] = None,
    gamma: Annotated[
        float | None, typer.Option(help="Strength of the localization to w*.", show_default="chosen")
    ] = None,
    nbeta: Annotated[
        float | None, typer.Option(help="n times inverse temperature.", show_default="n / log n")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Samples a step.", show_default="chosen")] = None,
    seed: Annotated[int, typer.Option(help="Names every random stream.")] = 0,
    compiled: Annotated[bool, typer.Option("--compile", help="Compile the step; pays for long runs.")] = False,
    workers: Annotated[int | None, typer.Option(help="Processes.", show_default="cores")] = None,
    memory: Annotated[
        str | None, typer.Option(help="For all processes, e.g. 1GiB.", show_default="half of what is free")
    ] = None,
    log: Annotated[list[str] | None, typer.Option(help="log_determinant, functional_variance, …")] = None,
    name: Annotated[str | None, typer.Option(help="Identity of lambdas and closures.")] = None,
    as_json: Json = False,
) -> None:
    """Estimate the learning coefficient of every checkpoint. Run again, it goes on where it stopped."""
    began = time.monotonic()
    series = checkpoints(folder)
    given = dict(
        rtol=rtol, budget=budget, seconds=seconds, sampler=sampler, chains=chains, draws=draws, burn_in=burn_in,
        step_size=step_size, gamma=gamma, nbeta=nbeta, batch_size=batch_size, compile=compiled or None,
    )  # fmt: skip
    settings: dict[str, Any] = {"seed": seed} | {name: value for name, value in given.items() if value is not None}
    limit, chosen = names.amount(memory), names.kind(kind, orthogonal)
    with aside():
        scape = names.scape(whole, {"model": model, "data": data, "loss": loss}, n=n, name=name, memory=limit)
        held_out = names.built(names.from_file(test, "test"), "test") if test else None
        if restrict or chosen:
            scape = scape.restrict(restrict or None, kind=chosen)
        beside = {"test_data": held_out, "logged": log or ()}
        done = survey(scape, series, out, workers=workers, memory=limit, **beside, **settings)
    raise typer.Exit(_tell_survey(done, out, time.monotonic() - began, as_json))


def _tell_survey(done: Survey, out: Path, seconds: float, as_json: bool) -> int:
    """Print what a survey found; the exit code."""
    unhealthy = float((~done.healthy).mean())
    verdict = "unhealthy" if unhealthy > UNHEALTHY_SHARE else "healthy"
    if as_json:
        _print_json({"seconds": round(seconds, 1), "verdict": verdict, **done.to_dict()})
    else:
        _print_survey(done)
        typer.echo(f"{verdict}: {unhealthy:.0%} of the estimates have no value; draw it with: thalweg atlas {out}")
    return 0 if verdict == "healthy" else 1


def _print_survey(done: Survey) -> None:
    """Its table, why estimates have no value, and its transitions."""
    table = done.to_dataframe()
    moved = [name for name in MOVED if name in table]
    columns = ["step", "train_loss", "llc", "llc_raw", "llc_stderr", "verdict", "kind", *moved]
    typer.echo(table[columns].to_string(index=False))
    for step, reasons in zip(done.column("step"), done.reasons, strict=True):
        if reasons:
            typer.echo(f"step {step}: {'; '.join(reasons)}")
    for transition in done.transitions():
        typer.echo(transition.sentence())


@app.command("check")
def _run_check(
    cases: Annotated[
        list[str] | None, typer.Argument(help="Parts of the names of cases.", show_default="all")
    ] = None,
    rtol: Annotated[float, typer.Option(help="Relative error asked for.")] = RTOL,
    budget: Annotated[int, typer.Option(help="Gradients a chain may take in a case.")] = BUDGET,
    seed: Annotated[int, typer.Option(help="Names every random stream.")] = 0,
    workers: Annotated[int | None, typer.Option(help="Processes.", show_default="cores")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the table as a page of Markdown.")] = None,
    as_json: Json = False,
) -> None:
    """Hold estimates, with nothing set, against learning coefficients that are known."""
    say = (lambda line: typer.echo(f"done {line.name}", err=True)) if as_json else _print_line
    report = check(cases or (), rtol=rtol, budget=budget, seed=seed, workers=workers, done=say)
    document = report.to_dict()
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(page(report, rtol))
    if as_json:
        _print_json(document)
    else:
        typer.echo(
            f"{document['verdict']}: median error {report.median:.2%}, largest {document['max_relative_error']:.2%},"
            f" {report.coverage:.0%} of the intervals hold the truth; {report.seconds:.0f} s"
        )
        if out is not None:
            typer.echo(out.resolve())
    raise typer.Exit(0 if report.passed else 1)


def _print_line(line: Line) -> None:
    """A row of the table."""
    typer.echo(
        f"{line.name:22} d {line.d:<5} lambda {line.llc_true:<8.4g} truth {line.finite_n_truth:<9.4f}"
        f" llc {line.llc_raw:.4f} +- {line.stderr:.4f}  ratio {line.ratio:.4f}  {line.verdict} {line.seconds:.1f} s"
    )


@app.command("atlas")
def _run_atlas(
    out: Annotated[Path, typer.Argument(help="A survey's folder.")],
    html: Annotated[Path | None, typer.Option(help="The page.", show_default="beside the folder")] = None,
    as_json: Json = False,
) -> None:
    """Draw the map of a survey: a page, and the figure as PDF and PNG."""
    found = open_survey(out)
    page = atlas(found, html or out.with_suffix(".html"))
    figures = [plot(found, page.with_suffix(suffix)) for suffix in (".pdf", ".png")]
    if as_json:
        _print_json({"html": str(page), "figures": [str(f) for f in figures]})
    else:
        typer.echo(page.resolve())


@app.command("surface")
def _run_surface(
    folder: Annotated[Path, typer.Argument(help="Holds the checkpoints of one run.")],
    out: Annotated[Path, typer.Option(help="The page, NAME.html.")],
    whole: Whole = None,
    model: Model = None,
    data: Data = None,
    loss: Loss = None,
    step: Annotated[
        list[int] | None, typer.Option(help="A checkpoint to map; repeatable.", show_default="first, middle, last")
    ] = None,
    size: Annotated[int, typer.Option(help="Points a side of a map, odd.")] = 21,
    extent: Annotated[float, typer.Option(help="Of a map, in lengths of the filters of w*.")] = 1.0,
    length: Annotated[float, typer.Option(help="Of the line along the gradient, in weights.")] = 0.4,
    seed: Annotated[int, typer.Option(help="Names every random stream.")] = 0,
    as_json: Json = False,
) -> None:
    """Map the loss (of a policy, its regret) around checkpoints, and find the cliffs along its gradient."""
    began = time.monotonic()
    check_page(out)
    with aside():
        scape = names.scape(whole, {"model": model, "data": data, "loss": loss})
        series = checkpoints(folder)
        drawn = surfaces.draw(scape, series, step or (), size=size, extent=extent, length=length, seed=seed)
    surfaces.page(drawn, out, title=f"{folder.resolve().name}: the loss around its checkpoints")
    if as_json:
        _print_json({"seconds": round(time.monotonic() - began, 1), "html": str(out), **drawn.to_dict()})
    else:
        for cliff in drawn.cliffs:
            typer.echo(cliff.sentence())
        typer.echo(drawn.summary())
        typer.echo(out.resolve())


@app.command("certify")
def _run_certify(
    alice: Annotated[Path, typer.Argument(help="Agent file (TOML): her world, and her reward or recorded choices.")],
    bob: Annotated[Path, typer.Argument(help="Agent file: his policy, or his reward and suboptimality, or both.")],
    out: Annotated[Path | None, typer.Option(help="A page of it, NAME.html.")] = None,
    untested: Annotated[
        bool, typer.Option("--untested", help="Take Alice's choice model as it is though no test of it is possible.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bound the regret by Alice's values that Bob can have, assumption by assumption."""
    began = time.monotonic()
    if out is not None:
        check_page(out)
    hers, his = read_agents(alice, bob)
    found = certify_agents(hers, his, untested=untested)
    if out is not None:
        certificates.page(found, out, title=f"{his.name} by the lights of {hers.name}")
    if as_json:
        html = {} if out is None else {"html": str(out)}
        _print_json({"seconds": round(time.monotonic() - began, 1), **html, **found.to_dict()})
    else:
        typer.echo(found.summary)
        for assumption in found.assumptions:
            typer.echo(f"  {assumption.status:8} {assumption.name}: {assumption.words}")
        if found.issued:
            typer.echo(found.statement)
        if out is not None:
            typer.echo(out.resolve())
    if not found.issued:
        raise typer.Exit(1)


def _print_json(document: Any) -> None:
    """One document; NaN has no place in it."""
    typer.echo(json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False))


def _run() -> None:
    """The command that was asked for; `app()` itself would end on what only looks like its own exceptions."""
    command = get_command(app)
    with command.make_context("thalweg", sys.argv[1:]) as context:
        command.invoke(context)


def main() -> None:
    """Run the command line, on one thread a process."""
    claim_process()
    with one_thread():
        sys.exit(ended(_run))
