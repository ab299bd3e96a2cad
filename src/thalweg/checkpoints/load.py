"""Read one checkpoint file. It is hostile until read: no code runs, sizes are bounded, checksums are compared."""

import json
import pickle
import re
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from functools import partial
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from thalweg.checkpoints._door import (
    CUT,
    LEAVE,
    PICKLE,
    PIECE,
    TENSORS,
    ZIP,
    archive,
    check_bytes,
    check_sums,
    opened,
    pieces,
    refusing,
)
from thalweg.checkpoints._pickles import check_pickles
from thalweg.checkpoints._steps import Stated, stated
from thalweg.errors import InputError, shown
from thalweg.registry import Registry
from thalweg.tree import check_plain
from thalweg.types import Params

PREFIXES = re.compile(r"(?:module\.|_orig_mod\.)*")  # DistributedDataParallel, torch.compile
NESTED = ("state_dict", "model_state_dict", "model")  # where trainers put the weights
WEIGHTS, SETTINGS = "policy.pth", "data"  # what Stable-Baselines3 writes into its archives
TEXT = 64 << 20  # bytes of settings that are read
HEADER = 100 << 20  # bytes of the header of a safetensors file
HELD = 16 << 20  # bytes of a policy that are held in memory; more of them are unpacked to disk
GREEDY = re.compile(  # what a pickle makes any number of bytes with, of a few of its own
    rb"builtin(?:__|s)\n(bytearray)\n|_codecs\n(encode)\n|torch\n([A-Z][A-Za-z0-9]*Tensor|Tensor)\n"
)
GLOBAL = re.compile(r"[Uu]nsupported (?:global: )?GLOBAL (\S+)")
FOREIGN = ("must be imported to load", "unrecognized function", "allowlisted")


class Loader(Protocol):
    """Reads files of one suffix."""

    def __call__(self, path: Path, file: IO[bytes], *, whole: bool) -> tuple[Params, Mapping[str, Any]]:
        """Tensors by name, and the plain values beside them, of which `step` or its like is the training step.

        Args:
            path: for messages.
            file: open at its beginning. It is hostile: nothing in it is run.
            whole: False where the numbers of tensors are not needed yet.
        """
        ...


def read(path: Path) -> tuple[Params, int | None]:
    """Weights and training step of a file.

    Args:
        path: of a `.pt` or `.safetensors` file, of an archive of Stable-Baselines3, or of a suffix in `LOADERS`.

    Returns:
        The state dict without prefixes, and the step if the file states one.

    Raises:
        InputError: no checkpoint, a pickle that wants to run code, a file that is too large or damaged; a tensor
            that is no plain array of numbers, two of one name; a step that is no whole number of 63 bits.
    """
    state, found = _content(path, whole=True)
    return state, None if found is None else found.step


def step_stated(path: Path) -> Stated | None:
    """The step that a file states; None where its name has to.

    Numbers of tensors are not read, and not compared with their checksums: `read` does both.
    """
    try:
        return _content(path, whole=False)[1]
    except InputError:  # `read` knows the reason best: it sees what the tensors are
        return _content(path, whole=True)[1]


def _content(path: Path, *, whole: bool) -> tuple[Params, Stated | None]:
    """Tensors and step; if not `whole`, the tensors' numbers are not read."""
    with opened(path) as file:
        suffix = path.suffix if path.suffix in LOADERS else ".pt"
        load = LOADERS[suffix] if suffix in LOADERS.ours else partial(_others, LOADERS[suffix])
        state, meta = load(path, file, whole=whole)
    if not state and (whole or path.suffix != ".safetensors"):
        raise InputError(f"{path} holds no tensors: it is no checkpoint, leave it out of the folder")
    return _bare(path, state), stated(path, meta)


def _safetensors(path: Path, file: IO[bytes], *, whole: bool) -> tuple[Params, Mapping[str, Any]]:
    """Tensors and metadata of a safetensors file."""
    head = file.read(9)
    says, size = int.from_bytes(head[:8], "little"), file.seek(0, 2)
    if len(head) < 9 or (head[8:] == b"{" and 8 + says > size and says <= HEADER):
        raise InputError(f"{path} {CUT}")
    try:
        with refusing(path, "is no safetensors file"), safe_open(path, framework="pt") as held:
            names = list(held.keys())
            _check_count(path, len(names))
            tensors = {name: held.get_tensor(name) for name in names} if whole else {}
            return _plain(path, tensors, size), held.metadata() or {}
    except InputError as error:
        if isinstance(error.__cause__, SafetensorError) and _is_cut(file, says, size):
            raise InputError(f"{path} {CUT}") from error
        raise


def _is_cut(file: IO[bytes], says: int, size: int) -> bool:
    """Whether the header of a safetensors file, of so many bytes, speaks of more than there is."""
    try:
        file.seek(8)
        entries = json.loads(file.read(min(says, HEADER)))
        return 8 + says + max(held["data_offsets"][1] for k, held in entries.items() if k != "__metadata__") > size
    except Exception:  # no header that could be understood
        return False


def _policy(path: Path, file: IO[bytes], *, whole: bool) -> tuple[Params, Mapping[str, Any]]:
    """The policy's tensors of an archive of Stable-Baselines3, and the plain values of its settings.

    Of the settings only what is plain JSON is looked at, the pickles inside stay text.
    """
    with archive(path, file, "archive of Stable-Baselines3") as held, tempfile.SpooledTemporaryFile(HELD) as weights:
        names = held.namelist()
        if WEIGHTS not in names:
            raise InputError(f"{path} holds no {WEIGHTS}: it is no archive of Stable-Baselines3, leave it out")
        for piece in pieces(path, held, WEIGHTS):
            weights.write(piece)
        weights.seek(0)
        if SETTINGS in names and held.getinfo(SETTINGS).file_size > TEXT:
            raise InputError(f"{path} holds more than {TEXT >> 20} MiB of settings: {LEAVE}")
        text = b"".join(pieces(path, held, SETTINGS)) if SETTINGS in names else b"{}"
        settings = json.loads(text)
        state, _ = _torch(path, weights, whole=whole)
        return state, settings if isinstance(settings, Mapping) else {}


def _torch(path: Path, file: Any, *, whole: bool) -> tuple[Params, Mapping[str, Any]]:
    """Tensors and the plain values beside them of what torch.save wrote."""
    head, size = file.read(len(ZIP)), file.seek(0, 2)
    file.seek(0)
    if head == ZIP:
        with archive(path, file, "checkpoint") as held:
            check_sums(path, held, whole=whole)
            names = held.namelist()
            if any(name.endswith("/constants.pkl") for name in names):
                raise InputError(f"{path} is a TorchScript archive: save the state dict alone, model.state_dict()")
            for name in names:
                if name.endswith("data.pkl"):
                    _check_greedy(path, pieces(path, held, name))
                    with held.open(name) as entry:
                        check_pickles(path, BufferedReader(entry, PIECE))  # pyright: ignore[reportArgumentType]
            if WEIGHTS in names:
                raise InputError(f"{path} is an archive of Stable-Baselines3: rename it to {path.stem[:60]}.zip")
        file.seek(0)
    elif not head.startswith(PICKLE):
        raise InputError(f"{path} is no checkpoint (torch.save writes nothing that begins so): {LEAVE}")
    else:
        _check_greedy(path, iter(lambda: file.read(PIECE), b""))
        file.seek(0)
        check_pickles(path, file)
        file.seek(0)
    found = _unpickled(path, file, whole=whole)
    if head != ZIP and whole and file.tell() != size:  # else numbers were left unread
        raise InputError(f"{path} is damaged: it holds more than it says: copy it again, or {LEAVE}")
    if not isinstance(found, Mapping):
        raise InputError(f"{path} holds a {type(found).__name__}, no state dict: save model.state_dict()")
    nested = next((found[k] for k in NESTED if isinstance(found.get(k), Mapping)), found)
    return _plain(path, {k: v for k, v in nested.items() if isinstance(v, Tensor)}, size), found


def _check_greedy(path: Path, content: Iterable[bytes]) -> None:
    """Refuse a pickle that asks for any number of bytes: its text is enough to know."""
    tail = b""
    for piece in content:
        found = GREEDY.search(tail + piece)
        if found:
            name = found[0].split(b"\n")[1].decode()
            raise InputError(f"{path} holds objects made by {name}: save the state dict alone, model.state_dict()")
        tail = piece[-64:]


def _unpickled(path: Path, file: Any, *, whole: bool) -> Any:
    """What torch reads of a file, running none of its code; if not `whole`, without the numbers of tensors."""
    try:
        with refusing(path, "is no checkpoint"), torch.serialization.skip_data() if not whole else nullcontext():
            return torch.load(file, map_location="cpu", weights_only=True)
    except InputError as error:
        cause = error.__cause__
        text = str(cause)
        wanted = GLOBAL.search(text)
        if isinstance(cause, pickle.UnpicklingError) and (wanted or any(word in text for word in FOREIGN)):
            named = f" ({shown(wanted[1])})" if wanted else ""
            raise InputError(
                f"{path} holds objects{named} that would run code when loaded: save the state dict alone,"
                " torch.save(model.state_dict(), path)"
            ) from error
        if isinstance(cause, EOFError) or "unexpected EOF" in text or "bytes object of length" in text:
            raise InputError(f"{path} {CUT}") from error
        raise


def _plain(path: Path, tensors: Mapping[Any, Tensor], size: int) -> Params:
    """Tensors as plain arrays of numbers."""
    _check_count(path, len(tensors))
    for name, tensor in tensors.items():
        if not isinstance(name, str):
            raise InputError(f"{path} holds a tensor whose name is a {type(name).__name__}: save model.state_dict()")
        check_plain(name, tensor, f"{path}: ")
    check_bytes(path, sum(w.numel() * w.element_size() for w in tensors.values()), size)  # views may repeat numbers
    return {name: tensor.detach().resolve_conj().resolve_neg() for name, tensor in tensors.items()}


def _check_count(path: Path, tensors: int) -> None:
    """Refuse more tensors than can be read in a second."""
    if tensors > TENSORS:
        raise InputError(f"{path} holds {tensors:,} tensors: give at most {TENSORS:,}")


def _bare(path: Path, state: Params) -> Params:
    """Parameters by their names without what wrappers put before them."""
    given: dict[str, str] = {}
    for name in state:
        bare = PREFIXES.sub("", name, count=1)
        if bare in given:
            both = f"{shown(given[bare])} and {shown(name)}"
            raise InputError(f"{path} holds two tensors of one name, {both}: save one of them")
        given[bare] = name
    return {bare: state[name] for bare, name in given.items()}


def _others(loader: Loader, path: Path, file: IO[bytes], *, whole: bool) -> tuple[Params, Mapping[str, Any]]:
    """What a loader from outside gives, held to what ours are held to."""
    size = file.seek(0, 2)
    file.seek(0)
    with refusing(path, f"cannot be read as {path.suffix}"):
        state, meta = loader(path, file, whole=whole)
        if not isinstance(meta, Mapping) or not all(isinstance(w, Tensor) for w in dict(state).values()):
            raise InputError(f"{path}: the loader of {path.suffix} does not give tensors and values by name: mend it")
        return _plain(path, state, size), meta


LOADERS: Registry[Loader] = Registry(  # by suffix
    "loader",
    "thalweg.loaders",
    {".pt": _torch, ".pth": _torch, ".safetensors": _safetensors, ".zip": _policy},
    callable,
    "a function like thalweg.checkpoints.Loader",
)
