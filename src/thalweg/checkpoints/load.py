"""Read one checkpoint file. It is hostile until read: no code runs, sizes are bounded."""

import io
import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from thalweg.errors import InputError
from thalweg.types import Params

SUFFIXES = (".pt", ".pth", ".safetensors", ".zip")
LIMIT = 64 << 30  # bytes, of a file and of what it unpacks to
PREFIXES = ("module.", "_orig_mod.")  # DistributedDataParallel, torch.compile
NESTED = ("state_dict", "model_state_dict", "model")  # where trainers put the weights
STEP_KEYS = ("step", "global_step", "num_timesteps")
WEIGHTS, SETTINGS = "policy.pth", "data"  # what Stable-Baselines3 writes into its archives
TEXT = 64 << 20  # bytes of settings that are read


def read(path: Path) -> tuple[Params, int | None]:
    """Weights and training step of a file.

    Args:
        path: of a `.pt` or `.safetensors` file, or of an archive of Stable-Baselines3.

    Returns:
        The state dict without prefixes, and the step if the file states one.

    Raises:
        InputError: no checkpoint, a pickle that wants to run code, a file that is too large.
    """
    _check_size(path)
    kinds = {".safetensors": _safetensors, ".zip": _archive}
    state, meta = kinds.get(path.suffix, _torch)(path)
    if not state:
        raise InputError(f"{path} holds no tensors: it is no checkpoint, leave it out of the folder")
    return {_bare(name): tensor for name, tensor in state.items()}, _step(meta)


def step_stated(path: Path) -> int | None:
    """The step that the file's header states; None where one has to read the weights or the name."""
    if path.suffix != ".safetensors":
        return None
    try:
        with safe_open(path, framework="pt") as file:
            return _step(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is no safetensors file ({_line(error)}): leave it out of the folder") from error


def _check_size(path: Path) -> None:
    """Bound the file and what a zip archive claims to unpack to."""
    size = path.stat().st_size
    if path.suffix != ".safetensors" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = max(size, sum(entry.file_size for entry in archive.infolist()))
    if size > LIMIT:
        raise InputError(
            f"{path} is {size >> 30} GiB, more than {LIMIT >> 30}: split it, or sample a restriction of it"
        )


def _safetensors(path: Path) -> tuple[Params, Mapping[str, Any]]:
    """Tensors and metadata of a safetensors file."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is no safetensors file ({_line(error)}): leave it out of the folder") from error


def _archive(path: Path) -> tuple[Params, Mapping[str, Any]]:
    """The policy's tensors of an archive of Stable-Baselines3, and the plain values of its settings.

    Nothing is unpacked; of the settings only what is plain JSON is looked at, the pickles inside stay text.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if WEIGHTS not in archive.namelist():
                raise InputError(f"{path} holds no {WEIGHTS}: it is no archive of Stable-Baselines3, leave it out")
            weights = archive.read(WEIGHTS)
            text = archive.read(SETTINGS) if SETTINGS in archive.namelist() else b"{}"
        settings = json.loads(text[:TEXT])
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError) as error:
        raise InputError(f"{path} is no archive of Stable-Baselines3 ({_line(error)}): leave it out") from error
    state, _ = _torch(path, io.BytesIO(weights))
    return state, settings if isinstance(settings, Mapping) else {}


def _torch(path: Path, content: io.BytesIO | None = None) -> tuple[Params, Mapping[str, Any]]:
    """Tensors and the plain values beside them of what torch.save wrote, into a file or into its content."""
    try:
        mapped = content is None and zipfile.is_zipfile(path)
        found = torch.load(content or path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        if "Unsupported global" in str(error) or "weights_only" in str(error).lower():
            raise InputError(
                f"{path} holds objects that would run code when loaded: save the state dict alone,"
                " torch.save(model.state_dict(), path)"
            ) from error
        raise InputError(f"{path} is no checkpoint ({_line(error)}): leave it out of the folder") from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{path} is no checkpoint ({_line(error)}): leave it out of the folder") from error
    if not isinstance(found, Mapping):
        raise InputError(f"{path} holds a {type(found).__name__}, no state dict: save model.state_dict()")
    nested = next((found[k] for k in NESTED if isinstance(found.get(k), Mapping)), found)
    return {str(k): v for k, v in nested.items() if isinstance(v, Tensor)}, found


def _step(meta: Mapping[str, Any]) -> int | None:
    """The training step among the metadata."""
    for key in STEP_KEYS:
        value = meta.get(key)
        if isinstance(value, int) or (isinstance(value, str) and value.isdigit()):
            return int(value)
    return None


def _bare(name: str) -> str:
    """A parameter's name without what wrappers put before it."""
    while name.startswith(PREFIXES):
        name = name.split(".", 1)[1]
    return name


def _line(error: Exception) -> str:
    """The first line of an error, short."""
    text = str(error).strip()
    return text.splitlines()[0][:120] if text else type(error).__name__
