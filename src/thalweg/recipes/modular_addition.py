"""The essay's chart: a network learns addition mod p, and its learning coefficient rises, peaks, falls.

Source: Panickssery & Vaintrob 2023, *Investigating the learning coefficient of modular addition*;
settings as published there. Three readings of each checkpoint: with their batch of 64, whose gradient
noise adds to the estimate (3 % at the peak, 14 % at the end); with 512, shorter; and with nothing set but
their localization, where the noise is taken out. Control: the same network and sampler on random labels, which
has more to remember.
"""

from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from thalweg.atlas import atlas, plot
from thalweg.checkpoints import checkpoints
from thalweg.estimators import LOGGED, Auto
from thalweg.landscape import landscape
from thalweg.recipes._configuration import Configuration
from thalweg.recipes._training import Training, train
from thalweg.recipes.recipe import Outcome, Recipe, Stages
from thalweg.rng import stream
from thalweg.samplers import Settings
from thalweg.store import Survey
from thalweg.survey import survey


class Config(Configuration):
    """All that the study depends on, beside the seed.

    Attributes:
        modulus: p; the data are all p^2 pairs.
        embedding: width of the embedding, shared by both addends.
        hidden: width of the hidden layer.
        train_share: of the pairs.
        training: of modular addition.
        control: training of random labels.
        sampler: as published.
        large_batch: the second, shorter pass.
        auto: the third, which finds its own sampler, step and length at each checkpoint.
    """

    modulus: int
    embedding: int
    hidden: int
    train_share: float
    training: Training
    control: Training
    sampler: Settings
    large_batch: Settings
    auto: Auto


def paper() -> Config:
    """The published size."""
    return Config(
        modulus=53,
        embedding=12,
        hidden=48,
        train_share=0.95,
        training=Training(batches=1500, batch_size=64, every=60, learning_rate=0.005, weight_decay=2e-4),
        control=Training(batches=20_000, batch_size=64, every=20_000, learning_rate=0.005, weight_decay=0.0),
        sampler=Settings(chains=4, burn_in=750, draws=2250, step_size=1e-3, gamma=5.0, batch_size=64),
        large_batch=Settings(chains=4, burn_in=500, draws=1000, step_size=1e-3, gamma=5.0, batch_size=512),
        auto=Auto(gamma=5.0, rtol=0.05, budget=400),
    )


def tiny() -> Config:
    """The same in seconds."""
    return Config(
        modulus=11,
        embedding=4,
        hidden=12,
        train_share=0.9,
        training=Training(batches=240, batch_size=32, every=40, learning_rate=0.01, weight_decay=2e-4),
        control=Training(batches=400, batch_size=32, every=400, learning_rate=0.01, weight_decay=0.0),
        sampler=Settings(chains=4, burn_in=500, draws=2000, step_size=2e-3, gamma=20.0, batch_size=32),
        large_batch=Settings(chains=4, burn_in=250, draws=1000, step_size=2e-3, gamma=20.0, batch_size=64),
        auto=Auto(gamma=20.0, rtol=0.1, budget=2000, chains=16),
    )


class Adder(nn.Module):
    """Logits over c of a + b = c (mod p): embed both, add two linear maps, GELU, unembed; untied."""

    def __init__(self, modulus: int, embedding: int, hidden: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(modulus, embedding)
        self.left = nn.Linear(embedding, hidden)
        self.right = nn.Linear(embedding, hidden)
        self.unembed = nn.Linear(hidden, modulus, bias=False)

    def forward(self, pairs: Tensor) -> Tensor:
        """Pairs (B, 2) -> logits (B, p)."""
        left, right = self.left(self.embed(pairs[..., 0])), self.right(self.embed(pairs[..., 1]))
        return self.unembed(F.gelu(left + right))


def sums(modulus: int, train_share: float, seed: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """All pairs and their sums, split at random into those to train on and the rest."""
    pairs = torch.cartesian_prod(torch.arange(modulus), torch.arange(modulus))
    order = torch.randperm(len(pairs), generator=stream(seed, "split"))
    cut = int(train_share * len(pairs))
    inside, outside = pairs[order[:cut]], pairs[order[cut:]]
    return (inside, inside.sum(1) % modulus), (outside, outside.sum(1) % modulus)


def _run(config: Config, out: Path, seed: int, stages: Stages) -> Outcome:
    """Train, survey three times, survey the control, draw."""
    p = config.modulus
    inside, outside = sums(p, config.train_share, seed)
    labels = torch.randint(p, (len(inside[0]),), generator=stream(seed, "random labels"))

    stages.say("training on addition")
    main = _study(config, config.training, inside, out / "checkpoints", seed)
    stages.say("training on random labels")
    control = _study(config, config.control, (inside[0], labels), out / "random-labels", seed)

    def measured(name: str, study: tuple, settings: Settings | Auto, test: Any, last: bool = False) -> Survey:
        stages.say(f"survey {name}")
        scape, folder = study
        series = checkpoints(folder)
        return survey(
            scape,
            series[-1:] if last else series,
            out / f"{name}.zarr",
            settings=settings,
            seed=seed,
            test_data=test,
            logged=tuple(LOGGED.ours) if name == "published" else (),
            progress=stages.visible,
        )

    published = measured("published", main, config.sampler, outside)
    large = measured("large-batch", main, config.large_batch, outside)
    auto = measured("auto", main, config.auto, outside)
    random = measured("random-labels", control, config.sampler, None, last=True)
    others = {f"batches of {config.large_batch.batch_size}": large, "nothing set": auto}
    title = f"Addition mod {p}: the learning coefficient along training"
    lines = {"random labels, at the end": random}
    html = atlas(published, out / "map.html", title=title, others=others, lines=lines)
    for suffix in ("pdf", "png"):
        plot(published, out / f"map.{suffix}", title=title, others=others, lines=lines)
    return Outcome(_results(published, large, auto, random), html, float((~published.healthy).mean()))


def _study(config: Config, training: Training, data: tuple[Tensor, Tensor], folder: Path, seed: int) -> tuple:
    """Train, and make the landscape, restricted as published."""
    build = partial(Adder, config.modulus, config.embedding, config.hidden)
    module = train(build, data, training, folder, seed=seed)
    return landscape(module, data, F.cross_entropy).restrict(orthogonal_to_gradient=True), folder


def _results(published: Survey, large: Survey, auto: Survey, random: Survey) -> dict[str, Any]:
    """The document's `results`; `docs/recipes/modular-addition.md` explains each name."""
    main, control, estimate = published.to_dict(), random.to_dict(), ("llc", "llc_raw", "llc_stderr", "verdicts")
    passes = {"large_batch": large.to_dict(), "auto": auto.to_dict()}
    return {
        **{name: main[name] for name in ("steps", "train_loss", "test_loss", *estimate, "transitions")},
        **{key: {name: found[name] for name in estimate} for key, found in passes.items()},
        "random_labels": {name: control[name][-1] for name in ("train_loss", *estimate)},
    }


RECIPE = Recipe(
    name="modular-addition",
    summary="A network learns addition mod 53: its learning coefficient rises, peaks and falls.",
    paper=paper,
    tiny=tiny,
    run=_run,
)
