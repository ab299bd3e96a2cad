"""Write a checkpoint, whole or not at all."""

from pathlib import Path

from safetensors.torch import save_file

from thalweg.runtime import atomic_write
from thalweg.types import Params


def place(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step lies."""
    return folder / f"step-{step}.safetensors"


def save(weights: Params, folder: Path, step: int) -> Path:
    """Write the state dict of a training step as `step-N.safetensors` into a run's folder, made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    path = place(folder, step)
    with atomic_write(path) as aside:
        save_file({k: w.contiguous() for k, w in weights.items()}, aside, {"step": str(step)})
    return path
