"""Checkpoints with bytes changed, cut out, put in and copied: one line of refusal, or the truth, or another key."""

import io
import sys
import warnings
import zipfile
from collections import Counter

import numpy as np
import pytest
import torch
from safetensors.torch import save

import thalweg as tw
from thalweg.errors import MOST
from thalweg.store import digest, of_tensors

STATE = {"w": torch.arange(12.0).reshape(3, 4) + 0.5, "b": torch.ones(3), "count": torch.tensor(7)}
STEP = 10


def written(**settings):
    buffer = io.BytesIO()
    torch.save({"model": STATE, "step": STEP, "beside": {"m": torch.zeros(4)}}, buffer, **settings)
    return buffer.getvalue()


def archive(method):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as held:
        held.writestr("data", f'{{"num_timesteps": {STEP}}}')
        held.writestr("policy.pth", written())
    return buffer.getvalue()


FORMATS = {  # name of the file, its bytes, and whether the format has checksums
    "pt": ("a_10.pt", written(), True),
    "pt of old": ("a_10.pth", written(_use_new_zipfile_serialization=False), False),
    "safetensors": ("a_10.safetensors", save(STATE, {"step": str(STEP)}), False),
    "sb3": ("a_10.zip", archive(zipfile.ZIP_STORED), True),
    "sb3 packed": ("a_10.zip", archive(zipfile.ZIP_DEFLATED), True),
}


def mutant(rng, content):
    """The bytes with a bit flipped, some of them replaced, cut out, put in, copied, or the end cut off."""
    found, size = bytearray(content), len(content)
    at, to = sorted(rng.integers(size, size=2))
    match rng.integers(6):
        case 0:
            found[at] ^= 1 << rng.integers(8)
        case 1:
            for i in rng.integers(size, size=rng.integers(1, 9)):
                found[i] = rng.integers(256)
        case 2:
            del found[at:]
        case 3:
            del found[at:to]
        case 4:
            found[at:at] = rng.bytes(rng.integers(1, 40))
        case 5:
            length = rng.integers(1, 64)
            found[at : at + length] = found[to : to + length]
    return bytes(found)


def outcome(folder):
    """What becomes of the only file in a folder: `refused`, `same`, `other`, or `wrong`, which must not be."""
    try:
        checkpoint = tw.checkpoints(folder).items[0]
        state = checkpoint.load()
    except tw.InputError as error:
        return "refused" if str(error).isprintable() and len(str(error)) <= MOST else "wrong"
    if digest(checkpoint.step, of_tensors(state)) != digest(STEP, of_tensors(STATE)):
        return "other"
    same = state.keys() == STATE.keys() and all(torch.equal(state[k], STATE[k]) for k in STATE)
    return "same" if same and checkpoint.step == STEP else "wrong"


def outcomes(folder, kind, mutants, seed):
    """How often each; `other` only where the format has no checksum."""
    name, content, _ = FORMATS[kind]
    (folder / name).write_bytes(content)
    assert outcome(folder) == "same"
    rng, seen = np.random.default_rng([seed, sorted(FORMATS).index(kind)]), Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is said beside the message
        for _ in range(mutants):
            (folder / name).write_bytes(mutant(rng, content))
            seen[outcome(folder)] += 1
    return seen


def judge(seen, kind):
    assert not seen["wrong"]
    assert not (FORMATS[kind][2] and seen["other"])
    assert seen["refused"] > seen.total() / 2


@pytest.mark.parametrize("kind", FORMATS)
def test_mutants_are_refused_or_known(tmp_path, kind):
    judge(outcomes(tmp_path, kind, 200, seed=1), kind)


@pytest.mark.long
@pytest.mark.parametrize("kind", FORMATS)
def test_five_thousand_mutants_are_refused_or_known(tmp_path, kind):
    judge(outcomes(tmp_path, kind, 5000, seed=2), kind)


def test_the_judge_can_fail(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["thalweg.checkpoints.load"], "check_sums", lambda *_, **__: None)
    seen = outcomes(tmp_path, "pt", 1000, seed=1)
    assert seen["other"]
    with pytest.raises(AssertionError):
        judge(seen, "pt")
