"""Files of any origin: ordered by step, and hostile until read."""

import io
import os
import pickle
import zipfile

import pytest
import torch
from safetensors.torch import save_file

import thalweg as tw
from conftest import Net, classes
from thalweg.checkpoints import Checkpoint, read
from thalweg.errors import MOST, one_line


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


NAMES = {  # of one folder, and their steps in this order, or what is said
    "epoch=1-val_loss=0.91 epoch=2-val_loss=0.55 epoch=3-val_loss=0.32": [1, 2, 3],
    "step1000_loss0.5 step2000_loss0.5": [1000, 2000],
    "epoch=0-step=90 epoch=1-step=180": [90, 180],
    "step_1e3 step_2e4 step_1.5e5": [1000, 20000, 150000],
    "step_10k step_1M": [10000, 1000000],
    "seed1_5_iterations seed1_10_iterations": [5, 10],
    "run_3_step_1000 run_3_step_2000": [1000, 2000],
    "step_1000.v2 globalStep-2000": [1000, 2000],
    "CartPole-v1_512 ckpt.1000": [512, 1000],
    "loss=.5_7 acc0.25-8": [7, 8],
    "run_100_seed0 run_200_seed0": "may be of step 100 or 0",
    "1000_steps_2": "may be of step 1000 or 2",
    "step_1.5": "of step 1.5",
    "step_10b": "of step 10b",
    "step=-5": "of step -5",
    "step_1e999": "of step 1e999",
    f"step_{2**63}": "2.63 - 1",
    "lr1e-3": "no number",
    "loss0.5": "no number",
    "seed3": "no number",
    "model-00001-of-00002 model-00002-of-00002": "part of a model",
    "step_1 latest": "latest.pt states no step",
    "epoch_1 step_500": "counts epoch_1.pt in epochs, step_500.pt in steps",
    "epoch_1_iter_900 epoch_2_iter_100": "epoch_2_iter_100.pt comes before epoch_1_iter_900.pt by 'iter'",
}


@pytest.mark.parametrize("names", NAMES)
def test_a_step_is_the_number_that_is_called_so(tmp_path, names):
    for name in names.split():
        torch.save({"w": torch.zeros(1)}, tmp_path / f"{name}.pt")
    wanted = NAMES[names]
    if isinstance(wanted, str):
        with pytest.raises(tw.InputError, match=wanted):
            tw.checkpoints(tmp_path)
    else:
        series = tw.checkpoints(tmp_path)
        assert [(c.path.stem, c.step) for c in series] == list(zip(names.split(), wanted, strict=True))
        assert all("in its name" in c.source for c in series)


def test_what_a_file_states_and_what_its_name_calls_a_step_are_one_number(tmp_path):
    path = tmp_path / "step_10.pt"
    torch.save({"model": {"w": torch.zeros(1)}, "step": 10}, path)
    assert tw.checkpoints(tmp_path).items[0].source == "'step' in the file"
    torch.save({"model": {"w": torch.zeros(1)}, "step": 11}, path)
    with pytest.raises(tw.InputError, match=r"step_10\.pt is of step 10 by its name, of 11 by 'step' in the file"):
        tw.checkpoints(tmp_path)
    torch.save({"model": {"w": torch.zeros(1)}, "step": 10, "global_step": 20}, path)
    with pytest.raises(tw.InputError, match="states 'step' 10 and 'global_step' 20"):
        tw.checkpoints(tmp_path)
    torch.save({"w": torch.zeros(1), "step": torch.tensor(77)}, path)  # a buffer of the module
    assert tw.checkpoints(tmp_path).steps == [10]


@pytest.mark.parametrize("step", ["\u00b2", "9" * 5000, str(2**63), "-1", "1.5", "soon", ""])
def test_a_stated_step_is_a_whole_number_of_63_bits(tmp_path, step):
    state = {"w": torch.zeros(1)}
    save_file(state, tmp_path / "a_1.safetensors", {"step": step})
    with pytest.raises(tw.InputError, match=r"a_1\.safetensors states step"):
        tw.checkpoints(tmp_path)
    save_file(state, tmp_path / "a_1.safetensors", {"step": str(2**63 - 1)})
    assert tw.checkpoints(tmp_path).steps == [2**63 - 1]
    for other in (2**63, -1, 10**400, float("nan"), float("inf"), 1.5, True):
        torch.save({"model": state, "step": other}, tmp_path / "b.pt")
        with pytest.raises(tw.InputError, match=r"b\.pt states step"):
            tw.checkpoints(tmp_path)


def test_steps_that_are_given_by_hand_are_bounded_too(tmp_path):
    for step in (-1, 2**63, 1.5, 10**400):
        with pytest.raises(tw.InputError, match="from 0 to 2"):
            Checkpoint(tmp_path / "a.pt", step)
    assert Checkpoint(tmp_path / "a.pt", 2**63 - 1).source == "given"


W = torch.arange(12.0).reshape(3, 4)
ODD = {
    "sparse_coo": lambda: W.to_sparse(),
    "sparse_csr": lambda: W.to_sparse_csr(),
    "sparse_bsc": lambda: W.to_sparse_bsc((3, 2)),
    "quantised": lambda: torch.quantize_per_tensor(W, 0.1, 0, torch.qint8),
    "nested": lambda: torch.nested.nested_tensor([W, W[:2]]),
    "meta": lambda: W.to("meta"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("new", [True, False])
def test_tensors_that_are_no_plain_arrays_are_refused_by_their_kind(tmp_path, kind, new):
    torch.save({"w": ODD[kind]()}, tmp_path / "a_1.pt", _use_new_zipfile_serialization=new)
    wanted = rf"a_1\.pt: tensor w is .*{kind}"
    if kind == "nested" and not new:  # torch takes its parts before their numbers are read
        wanted = r"a_1\.pt"
    for reading in (lambda: read(tmp_path / "a_1.pt"), lambda: tw.checkpoints(tmp_path)):
        with pytest.raises(tw.InputError, match=wanted):
            reading()


def normed(dtype=torch.float32):
    """A landscape with floats, whole numbers and bools among its tensors."""
    module = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.BatchNorm1d(3)).to(dtype)
    module.register_buffer("seen", torch.tensor([True, False]))
    inputs, labels = classes()
    return tw.landscape(module, (inputs[:, :5].to(dtype), labels % 3), "cross_entropy"), module.state_dict()


CASTS = {  # of which tensor, to what, and whether it is taken
    "half": ("0.weight", lambda w: w.half(), True),
    "bfloat16": ("0.weight", lambda w: w.bfloat16(), True),
    "double": ("0.weight", lambda w: w.double(), True),
    "double buffer": ("1.running_mean", lambda w: w.double(), True),
    "int32": ("1.num_batches_tracked", lambda w: w.int(), True),
    "mask of bytes": ("seen", lambda w: w.byte(), True),
    "complex64": ("0.weight", lambda w: w + 1j, False),
    "int8": ("0.weight", lambda w: (10 * w).to(torch.int8), False),
    "int64": ("0.bias", lambda w: w.long(), False),
    "uint8": ("1.running_var", lambda w: w.byte(), False),
    "bool": ("0.weight", lambda w: w > 0, False),
    "float8_e4m3fn": ("0.weight", lambda w: w.to(torch.float8_e4m3fn), False),
    "float32": ("1.num_batches_tracked", lambda w: w.float(), False),
    "int64, ": ("seen", lambda w: torch.tensor([7, 0]), False),  # a mask of 7
    "float64, ": ("1.running_mean", lambda w: w.double() + 1e300, False),
}


@pytest.mark.parametrize("case", CASTS)
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_only_floats_become_floats(tmp_path, case, suffix):
    name, change, taken = CASTS[case]
    scape, state = normed()
    state = {**state, name: change(state[name])}
    if suffix == "pt":
        torch.save(state, tmp_path / "a_1.pt")
    else:
        save_file(state, tmp_path / "a_1.safetensors")
    loaded = read(tmp_path / f"a_1.{suffix}")[0]
    if taken:
        held = scape.at(loaded)
        found = (held.params | held.frozen)[name]
        assert found.dtype == (scape.params | scape.frozen)[name].dtype
        assert torch.equal(found, state[name].to(found.dtype))
    else:
        with pytest.raises(tw.InputError, match=rf"'{name}' are {case.rstrip(', ')}, the module's"):
            scape.at(loaded)


def test_two_names_of_one_parameter_are_refused(tmp_path):
    for other in ("module.w", "_orig_mod.module.w"):
        torch.save({"w": torch.zeros(2), other: torch.ones(2)}, tmp_path / "a_1.pt")
        with pytest.raises(tw.InputError, match=f"two tensors of one name, w and {other}"):
            tw.checkpoints(tmp_path)
    torch.save({"w": torch.zeros(2), 3: torch.ones(2)}, tmp_path / "a_1.pt")
    with pytest.raises(tw.InputError, match="name is a int"):
        tw.checkpoints(tmp_path)


def test_tied_weights_that_differ_are_refused():
    module = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 3))
    module[1].weight = module[0].weight
    scape = tw.landscape(module, (torch.randn(8, 3), torch.randn(8, 3)), "mse")
    state = module.state_dict()
    assert torch.equal(scape.at(state).params["0.weight"], state["1.weight"])
    with pytest.raises(tw.InputError, match=r"0\.weight and 1\.weight are one parameter"):
        scape.at({**state, "1.weight": state["1.weight"] + 1})


def test_what_is_no_file_or_none_of_ours_is_named(tmp_path):
    def told(match):
        with pytest.raises(tw.InputError, match=match):
            tw.checkpoints(tmp_path)

    path = tmp_path / "a_2.pt"
    path.mkdir()
    told("a_2.pt is a folder")
    path.rmdir()
    os.mkfifo(path)
    told("a_2.pt is a pipe")  # which would hang whoever opens it
    path.unlink()
    for target, match in (
        ("nowhere", "a link to nothing"),
        ("a_2.pt", "a link to nothing"),
        ("/dev/zero", "a device"),
    ):
        path.symlink_to(target)
        told(match)
        path.unlink()
    for content, match in (
        (b"", "is empty"),
        (b"bad", "is no checkpoint"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
        (b"\0\5\26\7" + bytes(60), "what macOS keeps"),
    ):
        path.write_bytes(content)
        told(match)
    path.unlink()
    (tmp_path / "._a_1.pt").write_bytes(b"bad")
    told("what macOS keeps")
    (tmp_path / "._a_1.pt").unlink()
    torch.save({"w": W}, tmp_path / "kept")
    path.symlink_to("kept")  # a link to a file is a file
    assert tw.checkpoints(tmp_path).steps == [2]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
def test_files_that_were_cut_are_said_to_be(tmp_path, share):
    state = {"w": torch.randn(100, 100)}
    torch.save(state, tmp_path / "new.pt")
    torch.save(state, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    save_file(state, tmp_path / "st.safetensors")
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(tw.InputError, match="is cut short"):
            read(path)
        path.write_bytes(content + b"more")
        if path.stem == "new":
            continue  # a zip may have anything behind it
        with pytest.raises(tw.InputError, match=r"holds more than it says|no safetensors file"):
            read(path)


def repacked(path, method=zipfile.ZIP_STORED, change=lambda name, content: content):
    """A zip written anew, with right checksums."""
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as old, zipfile.ZipFile(path, "w", method) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))


def test_archives_that_are_packed_are_read_or_refused(tmp_path):
    path = tmp_path / "a_1.pt"
    torch.save({"w": W}, path)
    repacked(path, zipfile.ZIP_DEFLATED)
    assert torch.equal(read(path)[0]["w"], W)  # mapped into memory it would be other numbers
    repacked(path, zipfile.ZIP_LZMA)
    with pytest.raises(tw.InputError, match="not understood"):
        read(path)
    torch.save({"w": W}, path)
    repacked(path, change=lambda name, content: content[:8] if "/data/" in name else content)
    with pytest.raises(tw.InputError, match="does not match"):  # fewer numbers than its shape says
        read(path)


def test_what_unpacks_to_much_more_than_its_file_is_refused_unread(tmp_path):
    def told(match="unpacks to"):
        with pytest.raises(tw.InputError, match=match):
            tw.checkpoints(tmp_path)

    path = tmp_path / "a_1.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as held:
        held.writestr("policy.pth", bytes(32 << 20))
    told()
    path.unlink()
    path = tmp_path / "a_1.pt"
    torch.save({"w": torch.zeros(8 << 20)}, path)
    repacked(path, zipfile.ZIP_DEFLATED)
    told()
    for new in (True, False):  # one number, seen 10^11 times
        torch.save({"w": torch.zeros(1).expand(10**11)}, path, _use_new_zipfile_serialization=new)
        told()
    torch.save({"w": torch.zeros(1 << 20)}, path)  # below the slack zeros are as good as others
    repacked(path, zipfile.ZIP_DEFLATED)
    assert read(path)[0]["w"].shape == (1 << 20,)
    path.unlink()
    save_file({f"t{i}": torch.zeros(0) for i in range(10_001)}, tmp_path / "a_1.safetensors")
    with pytest.raises(tw.InputError, match="10,001 tensors"):
        read(tmp_path / "a_1.safetensors")


@pytest.mark.parametrize(
    "name", ["x\n\nTraceback", "\x1b[2J\x1b]0;x\x07", "n" * 200_000, "a\u202eb\u2028c", "\r" * 9]
)
def test_messages_are_one_printable_line_of_bounded_length(tmp_path, name):
    def fine(error):
        said = str(error.value)
        assert said.isprintable()
        assert len(said) <= MOST

    save_file({**Net().state_dict(), name: torch.zeros(2)}, tmp_path / "a_1.safetensors")
    with pytest.raises(tw.InputError, match="unknown") as error:
        tw.landscape(Net(), classes(), "cross_entropy").at(tw.checkpoints(tmp_path).items[0].load())
    fine(error)
    (tmp_path / f"{name[:100]}_2.pt").write_bytes(b"bad")
    with pytest.raises(tw.InputError, match="no checkpoint") as error:
        tw.checkpoints(tmp_path)
    fine(error)
    with pytest.raises(tw.InputError) as error:
        raise tw.InputError(f"{name}: give another")
    fine(error)
    assert str(error.value).endswith(": give another")
    assert one_line(str(error.value)) == str(error.value)
    assert not name.isprintable() or len(name) > MOST  # or the test shows nothing


def test_pickles_that_ask_for_any_memory_are_refused_unread(tmp_path):
    path = tmp_path / "a_1.pt"
    for new in (True, False):
        torch.save({"w": W, "x": bytearray(b"abc")}, path, _use_new_zipfile_serialization=new)
        with pytest.raises(tw.InputError, match=r"made by (bytearray|encode)"):
            read(path)
    torch.save({"w": W, "x": "abc"}, path)
    assert torch.equal(read(path)[0]["w"], W)


def test_an_entry_with_the_bit_of_a_folder_is_refused(tmp_path):
    """Torch reads nothing of it, and takes memory as it was for its numbers."""
    path = tmp_path / "a_1.pt"
    torch.save({"w": W}, path)
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02", 0, content.rindex(b"/data/0"))  # its entry in the table of contents
    content[at + 38] |= 0x10  # external attributes
    path.write_bytes(content)
    with pytest.raises(tw.InputError, match=r"damaged: its table of contents, at .*/data/0"):
        read(path)
