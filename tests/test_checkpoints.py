"""Files of any origin: ordered by step, and hostile until read."""

import os
import pickle

import pytest
import torch
from safetensors.torch import save_file

import thalweg as tw
from conftest import Net
from thalweg.checkpoints import read


def test_order_is_by_step_not_by_name(tmp_path):
    for name in ("ppo_1024.pt", "ppo_512.pt", "ppo_2048_steps.pt"):
        torch.save(Net().state_dict(), tmp_path / name)
    save_file(Net().state_dict(), tmp_path / "last.safetensors", {"step": "700"})
    torch.save({"state_dict": Net().state_dict(), "global_step": 3}, tmp_path / "epoch9.pt")
    (tmp_path / "notes.txt").write_text("not a checkpoint")
    series = tw.checkpoints(tmp_path)
    assert series.steps == [3, 512, 700, 1024, 2048]
    assert len(series[1:3]) == 2


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_wrappers_are_stripped(tmp_path, prefix):
    state = Net().state_dict()
    torch.save({prefix + k: v for k, v in state.items()}, tmp_path / "w-1.pt")
    loaded, step = read(tmp_path / "w-1.pt")
    assert step is None
    assert loaded.keys() == state.keys()


class Evil:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_a_pickle_that_wants_to_run_code_is_refused_and_does_not_run(tmp_path):
    mark = tmp_path / "ran"
    torch.save({"w": torch.zeros(1), "x": Evil(f"touch {mark}")}, tmp_path / "a-1.pt")
    with (tmp_path / "b-2.pt").open("wb") as file:
        pickle.dump(Evil(f"touch {mark}"), file)
    for name in ("a-1.pt", "b-2.pt"):
        with pytest.raises(tw.InputError, match=name):
            read(tmp_path / name)
    assert not mark.exists()


def test_bad_files_are_named(tmp_path):
    (tmp_path / "x-1.pt").write_bytes(b"garbage")
    (tmp_path / "y-1.safetensors").write_bytes(b"\xff" * 64)
    torch.save([1, 2], tmp_path / "z-1.pt")
    torch.save({"a": 1}, tmp_path / "e-1.pt")
    (tmp_path / "empty-1.pt").write_bytes(b"")
    for path in tmp_path.iterdir():
        with pytest.raises(tw.InputError, match=path.name):
            read(path)


def test_bad_folders_are_named(tmp_path):
    with pytest.raises(tw.InputError, match="nowhere"):
        tw.checkpoints(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(tw.InputError, match="no checkpoints"):
        tw.checkpoints(tmp_path / "empty")
    torch.save(Net().state_dict(), tmp_path / "nostep.pt")
    with pytest.raises(tw.InputError, match="no number"):
        tw.checkpoints(tmp_path)
    for name in ("a-7.pt", "b-7.pt"):
        torch.save(Net().state_dict(), tmp_path / "empty" / name)
    with pytest.raises(tw.InputError, match="both of step 7"):
        tw.checkpoints(tmp_path / "empty")
