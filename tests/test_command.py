"""What the user's own files do to the command: whatever they raise is one line and exit 2, whatever they print leaves
standard output to the document.
"""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch

import thalweg as tw
from thalweg.cli import _ending as ending
from thalweg.cli import main
from thalweg.errors import first_line, guarded, said
from thalweg.runtime import Workers, outcome

FILE = """
import ctypes, logging, os, sys
import torch
from torch import nn
from torch.utils.data import Dataset
{top}

def data():
    {data}
    g = torch.Generator().manual_seed(0)
    return torch.randn(64, 2, generator=g), torch.randn(64, 1, generator=g)

def loss(outputs, targets):
    {loss}
    return (outputs - targets).square().sum(1)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        {made}
        self.f = nn.Linear(2, 1)

    def forward(self, x):
        {forward}
        return self.f(x)
"""
RAISED = {
    "exit 0": ("raise SystemExit(0)", "SystemExit: 0"),
    "exit 3": ("sys.exit(3)", "SystemExit: 3"),
    "exit in words": ("raise SystemExit('bye\\nnow')", "SystemExit: bye"),
    "exit without": ("raise SystemExit", "SystemExit"),
    "of no kind": ("raise type('X', (BaseException,), {})('boo')", "X: boo"),
    "no words": (
        "raise type('E', (Exception,), {'__str__': lambda s: 1 / 0, '__repr__': lambda s: 1 / 0})()",
        "E",
    ),
    "words that exit": ("raise type('E', (Exception,), {'__str__': lambda s: sys.exit(0)})()", "E"),
    "escapes": ("raise ValueError('\\x1b[2J\\x07 red')", "\\x1b[2J"),
    "a kind of escapes": ("raise type('\\x1b[2J', (Exception,), {})('x')", "\\x1b[2J"),
    "huge": ("raise ValueError('n' * 10**6)", "nnn"),
    "recursion": ("(lambda f: f(f))(lambda f: f(f))", "RecursionError"),
    "memory": ("raise MemoryError", "MemoryError"),
    "closed generator": ("raise GeneratorExit", "GeneratorExit"),
    "stopped": ("raise StopIteration", "StopIteration"),
    "key that was not pressed": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "end of file": ("raise EOFError", "EOFError"),
    "pipe": ("raise BrokenPipeError(32, 'Broken pipe')", "Broken pipe"),
    "file": ("open('no\\nwhere')", "FileNotFoundError"),
    "group": ("raise BaseExceptionGroup('g', [SystemExit(0)])", "BaseExceptionGroup"),
    "warning": ("import warnings; warnings.simplefilter('error'); warnings.warn('odd')", "UserWarning: odd"),
    "usage": ("import typer; raise typer.Exit(0)", "Exit"),
    "abort": ("import typer; raise typer.Abort", "Abort"),
}
PLACES = ("top", "made", "data", "loss", "forward")
EVERYWHERE = ("exit 0", "of no kind", "no words", "key that was not pressed", "usage", "abort")
CASES = [(raised, place) for raised in RAISED for place in (PLACES if raised in EVERYWHERE else ("forward",))]
SETTINGS = "--sampler sgld --step-size 1e-4 --gamma 1 --chains 2 --draws 40 --burn-in 10 --batch-size 32"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with one run, in which the command is run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "run").mkdir()
    torch.save({"f.weight": torch.zeros(1, 2), "f.bias": torch.zeros(1)}, tmp_path / "run" / "step-1.pt")
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("_thalweg_file_")]:
        del sys.modules[name]


def wrote(folder, name="w.py", **parts):
    """A file of the user's."""
    (folder / name).write_text(FILE.format(**{place: parts.get(place, "pass") for place in PLACES}))


def asked(words, monkeypatch):
    """The command, in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["thalweg", *words.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code or 0


def survey_words(file="w.py", workers=1, more="--json"):
    return (
        f"survey run --model {file}:Net --data {file}:data --loss {file}:loss --out out.zarr --workers {workers}"
        f" {SETTINGS} {more}"
    )


def one_line(told):
    assert told.endswith("\n")
    assert told.count("\n") == 1
    assert told[:-1].isprintable()
    assert len(told) < 1100
    assert told.startswith("thalweg: ")
    return told


@pytest.mark.parametrize(("raised", "place"), CASES)
def test_whatever_is_raised_is_one_line_and_exit_2(folder, monkeypatch, capfd, raised, place):
    raises, named = RAISED[raised]
    wrote(folder, **{place: raises})
    assert asked(survey_words(), monkeypatch) == 2
    told = capfd.readouterr()
    assert told.out == ""
    assert named in one_line(told.err)
    assert not (folder / "out.zarr").exists()


@pytest.mark.parametrize("raised", ["exit 0", "no words", "key that was not pressed"])
def test_raised_while_sampling_in_this_process(folder, monkeypatch, capfd, raised):
    late = "x.sum().item()\n        Net.calls = getattr(Net, 'calls', 0) + 1\n        if Net.calls > 60: "
    wrote(folder, forward=late + RAISED[raised][0])  # what asks for a number is called at every step
    assert asked(survey_words(), monkeypatch) == 2
    assert RAISED[raised][1] in one_line(capfd.readouterr().err)


def test_python_has_an_error_of_one_line_with_its_cause(folder):
    for raised in (SystemExit(0), GeneratorExit(), RecursionError("deep"), ValueError("a\nb")):
        with pytest.raises(tw.InputError, match=type(raised).__name__) as found, guarded("the module"):
            raise raised
        assert found.value.__cause__ is raised
    with pytest.raises(KeyboardInterrupt), guarded("the module"):  # Ctrl-C alone passes
        raise KeyboardInterrupt
    assert said(MemoryError()) == "MemoryError"
    assert first_line(ValueError("one\ntwo")) == "one"


FILES = {
    "no Python": (b"def (:\n", "SyntaxError"),
    "no UTF-8": (b"# \xff\xfe\nx = '\xe9'\n", "SyntaxError"),
    "a zero": (b"x = 1\0\n", "null bytes"),
    "nothing": (b"", "has no 'Net'"),
    "names that fail": (b"def __getattr__(name):\n    raise SystemExit(0)\n", "SystemExit"),
    "itself away": (b"import sys\ndel sys.modules[__name__]\nraise SystemExit(0)\n", "SystemExit"),
}


@pytest.mark.parametrize("file", FILES)
def test_files_that_are_none(folder, monkeypatch, capfd, file):
    content, named = FILES[file]
    (folder / "w.py").write_bytes(content)
    assert asked(survey_words(), monkeypatch) == 2
    assert named in one_line(capfd.readouterr().err)


def test_a_folder_and_a_name_that_is_too_long(folder, monkeypatch, capfd):
    (folder / "w.py").mkdir()
    assert asked(survey_words(), monkeypatch) == 2
    assert "is a folder" in one_line(capfd.readouterr().err)
    assert asked(survey_words(file="x" * 5000 + ".py"), monkeypatch) == 2
    one_line(capfd.readouterr().err)


def test_a_traceback_is_shown_where_it_is_asked_for(folder, monkeypatch, capfd):
    wrote(folder, forward="1 / 0")
    monkeypatch.setenv("THALWEG_DEBUG", "1")
    assert asked(survey_words(), monkeypatch) == 2
    told = capfd.readouterr().err
    assert "Traceback" in told
    assert "1 / 0" in told
    assert told.splitlines()[-1].startswith("thalweg: ")


PRINTS = (
    "print('one'); sys.stdout.write('two\\n'); os.write(1, b'three\\n'); sys.__stdout__.write('four\\n');"
    " ctypes.CDLL(None).puts(b'five'); logging.StreamHandler(sys.stdout).emit(logging.makeLogRecord({'msg': 'six'}))"
)


def test_what_files_print_goes_to_standard_error(folder, monkeypatch, capfd):
    wrote(folder, top=PRINTS, forward="print('in forward')", data="sys.stdout.close()")
    assert asked(survey_words(), monkeypatch) in (0, 1)
    told = capfd.readouterr()
    assert json.loads(told.out)["steps"] == [1]
    assert all(word in told.err for word in ("one", "two", "three", "four", "five", "six", "in forward"))
    print("after")  # standard output is itself again
    os.write(1, b"below\n")
    assert capfd.readouterr().out.split() == ["after", "below"]


def test_where_standard_output_was_replaced(folder, monkeypatch):
    wrote(folder, forward="print('in forward')")
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert asked(survey_words(), monkeypatch) in (0, 1)
    assert json.loads(out.getvalue())["steps"] == [1]
    assert "in forward" in err.getvalue()


def command(words, folder, **more):
    return subprocess.Popen(
        [sys.executable, "-m", "thalweg", *words.split()],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **more,
    )


def test_what_workers_print_and_what_is_printed_at_the_end(folder):
    torch.save({"f.weight": torch.ones(1, 2), "f.bias": torch.zeros(1)}, folder / "run" / "step-2.pt")
    top = "import atexit; atexit.register(print, 'at the end')"
    wrote(folder, top=top, forward="print('in', 'worker' if 'loky' in str(sys.argv) else 'main')")
    words = survey_words(workers=2).replace("--chains 2", "--chains 16")
    process = command(words, folder)
    out, err = process.communicate(timeout=120)
    assert json.loads(out)["steps"] == [1, 2]
    assert process.returncode in (0, 1)
    assert "at the end" in err
    assert "in main" in err


def test_tasks_of_workers_are_one_line_too(capfd):
    def setup(_):
        raise SystemExit(0)

    def press(_):
        raise KeyboardInterrupt

    def leave(_):
        os._exit(3)

    with Workers(1) as workers:
        assert outcome(workers.submit(abs, -2)) == 2
        for task, named in ((sys.exit, "SystemExit"), (press, "KeyboardInterrupt"), (len, "TypeError")):
            with pytest.raises(tw.InputError, match=named):
                outcome(workers.submit(task, 0))
        with pytest.raises(tw.InputError, match="was killed"):
            outcome(workers.submit(leave, 0))
        with pytest.raises(tw.InputError, match="was killed"):
            workers.submit(abs, -2)
    with Workers(1, setup) as workers, pytest.raises(tw.InputError, match="set up: SystemExit"):
        outcome(workers.submit(abs, -2))
    with Workers(1, print, os.open) as workers:  # what is printed there
        assert outcome(workers.submit(type)) is type(None)  # of what the setup gave
    told = capfd.readouterr()
    assert told.out == ""
    assert "Traceback" not in told.err


def test_ctrl_c_is_130_and_leaves_nobody(folder):
    wrote(folder, forward="print('on the way', flush=True)")
    words = survey_words().replace("--draws 40", "--draws 10000000")  # which would take an hour
    assert words != survey_words()
    process = command(words, folder)
    assert process.stderr is not None
    assert process.stderr.readline() == "on the way\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    assert "thalweg:" not in err


def test_a_ctrl_c_that_is_swallowed_is_heard_again(monkeypatch):
    def deaf():
        threading.Timer(0.2, signal.raise_signal, [signal.SIGINT]).start()
        with contextlib.suppress(KeyboardInterrupt):
            for _ in range(200):
                time.sleep(0.05)
        time.sleep(60)

    monkeypatch.setattr(ending, "PATIENCE", 0.5)
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.default_int_handler)
    began = time.monotonic()
    assert ending.ended(deaf) == 130
    assert time.monotonic() - began < 30


def test_a_warning_of_ours_is_one_line(folder):
    torch.save({"f.weight": torch.ones(3, 1)}, folder / "run" / "step-1.pt")
    (folder / "bag.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def data(): return torch.arange(60).reshape(20, 3) % 3, torch.randn(20, 1)\n"
        "class Net(nn.Module):\n  def __init__(s): super().__init__(); s.f = nn.Embedding(3, 1, padding_idx=0)\n"
        "  def forward(s, x): return s.f(x).sum(1)\n"
    )
    process = command(survey_words("bag.py").replace("--loss bag.py:loss", "--loss mse"), folder)
    _, err = process.communicate(timeout=120)
    assert err.startswith("thalweg: held at w*: f.weight, row 0: ")
    assert err.count("\n") == 1


def test_a_pipe_that_nobody_reads_ends_quietly(monkeypatch, capfd):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert asked("recipe list", monkeypatch) == 141
    assert capfd.readouterr().err == ""


def test_an_output_that_is_full_is_one_line(monkeypatch, capfd):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert asked("recipe list", monkeypatch) == 2
    assert "standard output" in one_line(capfd.readouterr().err)


def test_places_in_messages_are_escaped(folder, monkeypatch, capfd):
    monkeypatch.setattr(sys, "argv", ["thalweg", "atlas", "no\x1b[2J\nwhere"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "\\x1b[2J" in one_line(capfd.readouterr().err)


def test_memory_is_refused_before_a_module_is_copied(folder, monkeypatch, capfd):
    copied = "def __deepcopy__(self, memo):\n        raise AssertionError('copied')\n    def unused(self): "
    (folder / "w.py").write_text(FILE.format(top="", data="pass", loss="pass", made="pass", forward="pass"))
    big = (folder / "w.py").read_text().replace("    def forward", f"    {copied}pass\n\n    def forward")
    (folder / "w.py").write_text(
        big.replace("self.f =", "self.big = nn.Parameter(torch.empty(2000, 1000)); self.f =")
    )
    assert asked(survey_words(more="--memory 100MiB"), monkeypatch) == 2
    assert "memory of 100 MiB" in one_line(capfd.readouterr().err)
    assert asked(survey_words(), monkeypatch) == 2  # control: without a limit it is copied
    assert "copied" in one_line(capfd.readouterr().err)


def test_help_stays_on_standard_output(folder, monkeypatch, capfd):
    for words in ("--help", "survey --help", "--version", "recipe list"):
        assert asked(words, monkeypatch) == 0
        told = capfd.readouterr()
        assert told.out
        assert told.err == ""
    assert asked("", monkeypatch) == 2
    assert "Traceback" not in capfd.readouterr().err


def test_workers_end_when_their_process_is_killed(folder):
    script = (
        "import os, sys, time\nfrom thalweg.runtime import Workers\n"
        "def busy(path):\n    open(path, 'w').write(str(os.getpid()))\n    sum(10**8 * [1])\n    time.sleep(60)\n"
        "with Workers(1) as workers:\n    workers.submit(busy, 'pid')\n    time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script], cwd=folder)
    while not ((folder / "pid").exists() and (folder / "pid").read_text()):
        assert process.poll() is None
        time.sleep(0.02)
    worker = int((folder / "pid").read_text())
    process.kill()
    process.wait()
    until = time.monotonic() + 5
    while alive(worker) and time.monotonic() < until:
        time.sleep(0.05)
    assert not alive(worker)
    assert alive(os.getpid())  # control


def alive(number):
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True
