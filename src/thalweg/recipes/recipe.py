"""What a recipe is: a study with a complete configuration, that ends in results and a page."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from rich.console import Console

from thalweg.errors import InputError

UNHEALTHY_SHARE = 0.25  # of the estimates; more, and the study is unhealthy


@dataclass(frozen=True)
class Outcome:
    """What a study gives back.

    Attributes:
        results: the lists and numbers that the recipe's page in the docs names.
        html: its page.
        unhealthy: share of its estimates that have no value.
    """

    results: dict[str, Any]
    html: Path
    unhealthy: float


@dataclass(frozen=True)
class Recipe:
    """One study.

    Attributes:
        name: on the command line.
        summary: one line.
        paper: the configuration at full size.
        tiny: the same in seconds, for tests; bit-identical from run to run.
        run: (configuration, folder, seed, progress) -> outcome.
    """

    name: str
    summary: str
    paper: Callable[[], BaseModel]
    tiny: Callable[[], BaseModel]
    run: Callable[[Any, Path, int, "Stages"], Outcome]

    def study(self, out: Path, *, tiny: bool, seed: int, shown: bool | None = None) -> dict[str, Any]:
        """Run it, and describe the outcome as one JSON document."""
        began = time.monotonic()
        config = self.tiny() if tiny else self.paper()
        _claim(out, {"recipe": self.name, "seed": seed, "config": config.model_dump(mode="json")})
        outcome = self.run(config, out, seed, Stages(shown))
        return {
            "recipe": self.name,
            "seconds": round(time.monotonic() - began, 1),
            "verdict": "unhealthy" if outcome.unhealthy > UNHEALTHY_SHARE else "healthy",
            "out": str(out),
            "html": str(outcome.html),
            "results": outcome.results,
        }


def _claim(out: Path, study: dict[str, Any]) -> None:
    """Mark a folder as this study's, so that no other study goes on with what it left.

    Raises:
        InputError: the folder holds something else.
    """
    label, text = out / "study.json", json.dumps(study, indent=1)
    if label.is_file():
        if label.read_text() != text:
            raise InputError(f"{out} holds another study: give another --out, or remove it")
        return
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"{out} holds something else: give another --out")
    out.mkdir(parents=True, exist_ok=True)
    label.write_text(text)


@dataclass
class Stages:
    """Tells on standard error what a study is doing; silent when that is no terminal."""

    shown: bool | None = None
    console: Console = field(default_factory=lambda: Console(stderr=True))

    @property
    def visible(self) -> bool:
        """Whether anything is shown."""
        return self.console.is_terminal if self.shown is None else self.shown

    def say(self, text: str) -> None:
        """Name the stage that begins."""
        if self.visible:
            self.console.print(text)
