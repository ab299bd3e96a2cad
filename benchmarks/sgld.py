"""How fast is the sampler? Chain-steps per second beside its peers and the machine's own limit.

    python benchmarks/sgld.py [--quick] [--memory 1GiB] [--json FILE]

One network (the modular addition recipe's, 4,428 weights), batches of 64, on an otherwise idle
machine of two cores. Every program gets both cores in the way that suits it best, of those tried:

    thalweg      26 checkpoints x 4 chains, worker processes of one thread each, and with --compile
    devinterp    1.3.2, its SGLD: one process of 1 or 2 threads, or two processes of one
    canonical    canonical-interp 0.1.5, 4 chains vmapped and compiled, the same three ways
    limit        the normal draws and the matrix products of a step, nothing else, two processes

Peers go into a throw-away environment, made once under the system's temporary folder; they are no
dependency of the project. Start-up (imports, tracing, compilation) is told apart from the rate.
The memory run surveys 26 x 256 replicas and reports the peak resident set of all processes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import venv
from concurrent.futures import FIRST_COMPLETED, wait
from pathlib import Path

os.environ.setdefault("MKL_CBWR", "AVX2")

import psutil
import torch
import torch.nn.functional as F
from loky import ProcessPoolExecutor
from safetensors.torch import save_file

import thalweg as tw
from thalweg.cli._names import amount
from thalweg.landscape import measure
from thalweg.recipes.modular_addition import Adder
from thalweg.runtime import Here, Workers
from thalweg.samplers import Chunk, Settings, State, chunks, start, width
from thalweg.survey import _pool as pool
from thalweg.survey import _work as work

P, EMBEDDING, HIDDEN, BATCH = 53, 12, 48, 64
CHECKPOINTS, CHAINS = 26, 4
PEERS = {"devinterp": "devinterp==1.3.2", "canonical": "canonical-interp==0.1.5"}


def world() -> tw.Landscape:
    """The recipe's landscape, at random weights: the same work as at trained ones."""
    pairs = torch.cartesian_prod(torch.arange(P), torch.arange(P))[:2668]
    scape = tw.landscape(Adder(P, EMBEDDING, HIDDEN), (pairs, pairs.sum(1) % P), F.cross_entropy)
    return scape.restrict(orthogonal_to_gradient=True)


def ours(steps: int, compiled: bool, workers: int = 2) -> dict[str, float]:
    """Rate of the survey's own loop, from its first block after the engines are built."""
    settings = Settings(
        chains=CHAINS, burn_in=0, draws=steps, step_size=1e-3, gamma=5.0, batch_size=BATCH, compile=compiled
    )
    scape = world()
    job = work.Job(scape, settings.resolve(scape.n), None)
    center, began = measure(scape), time.perf_counter()
    parts = chunks([center] * CHECKPOINTS, list(range(CHECKPOINTS)), CHAINS, width(scape))
    with pool.workers_of(job, workers) as hands:
        warm = [hands.submit(work.Worker.move, parts[0], start(parts[0])) for _ in range(4 * workers)]
        for future in warm:
            future.result()
        built = time.perf_counter()
        drive(hands, parts, steps)
        seconds = time.perf_counter() - built
    return {"rate": CHECKPOINTS * CHAINS * steps / seconds, "start_up": built - began}


def drive(hands: Workers | Here, parts: list[Chunk], steps: int) -> None:
    """Move all chunks to their end, the least advanced first, as a survey does among its last."""
    states: list[State] = [start(chunk) for chunk in parts]
    running: dict = {}
    while running or any(s.step < steps for s in states):
        idle = [i for i, s in enumerate(states) if s.step < steps and i not in running.values()]
        idle.sort(key=lambda i: states[i].step)
        for i in idle[: hands.depth - len(running)]:
            running[hands.submit(work.Worker.move, parts[i], states[i])] = i
        done = next(iter(wait(running, return_when=FIRST_COMPLETED).done))
        states[running.pop(done)] = done.result()[0]


def limit(steps: int) -> float:
    """Chain-steps per second of normal draws and matrix products alone, in two processes."""
    with ProcessPoolExecutor(2, env={"OMP_NUM_THREADS": "1", **pool.KEEP_MEMORY}) as hands:
        return sum(hands.map(_bare_work, [steps] * 2))


def _bare_work(steps: int, replicas: int = 52, block: int = 20) -> float:
    """Half of the replicas: draws, forward products, and two backward products for each."""
    torch.set_num_threads(1)
    weights = sum(w.numel() for w in Adder(P, EMBEDDING, HIDDEN).parameters())
    x = torch.randn(replicas, BATCH, EMBEDDING)
    h, y = torch.randn(replicas, BATCH, HIDDEN), torch.randn(replicas, BATCH, P)
    a, b = torch.randn(replicas, EMBEDDING, HIDDEN), torch.randn(replicas, HIDDEN, P)
    noise, best = torch.empty(block, replicas, weights), 0.0
    for _ in range(max(3, steps // block)):
        began = time.perf_counter()
        noise.normal_()
        for _ in range(block):
            for left, right in ((x, a), (x, a), (h, b)):
                torch.bmm(left, right)
            for upstream, left, right in ((h, x, a), (h, x, a), (y, h, b)):
                torch.bmm(left.mT, upstream)
                torch.bmm(upstream, right.mT)
        best = max(best, replicas * block / (time.perf_counter() - began))
    return best


PEER = """
import itertools, math, sys, time, warnings
warnings.simplefilter("ignore")
if not hasattr(itertools, "batched"):
    def batched(items, n):
        items = iter(items)
        while part := tuple(itertools.islice(items, n)):
            yield part
    itertools.batched = batched
import torch, torch.nn.functional as F
who, steps, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(threads)
class Adder(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.left = torch.nn.Embedding(53, 12), torch.nn.Linear(12, 48)
        self.right, self.unembed = torch.nn.Linear(12, 48), torch.nn.Linear(48, 53, bias=False)
    def forward(self, pairs):
        return self.unembed(F.gelu(self.left(self.embed(pairs[..., 0])) + self.right(self.embed(pairs[..., 1]))))
pairs = torch.cartesian_prod(torch.arange(53), torch.arange(53))[:2668]
data = torch.utils.data.TensorDataset(pairs, pairs.sum(1) % 53)
loader = torch.utils.data.DataLoader(data, batch_size=64, shuffle=True)
nbeta, model = 2668 / math.log(2668), Adder()
def run(steps):
    if who == "devinterp":
        from devinterp.optim.sgld import SGLD
        from devinterp.slt.sampler import estimate_learning_coeff_with_summary
        estimate_learning_coeff_with_summary(
            model, loader, evaluate=lambda m, d: (F.cross_entropy(m(d[0]), d[1]), {}), sampling_method=SGLD,
            optimizer_kwargs={"lr": 5e-4, "nbeta": nbeta, "localization": 5.0}, num_draws=steps, num_chains=4,
            verbose=False, init_loss=4.0)
    else:
        from canonical_interp.slt import LLCEstimator
        LLCEstimator(draws=steps, chains=4, burnin_steps=0, steps_bw_draws=1, learning_rate=1e-3, localization=5.0,
                     nbeta=nbeta).estimate_llc(model, loader, show_progress=False, seed=0)
t0 = time.perf_counter(); run(10); t1 = time.perf_counter(); run(steps); t2 = time.perf_counter()
print("RATE", 4 * steps / (t2 - t1), t1 - t0)
"""


def peer(name: str, steps: int) -> dict:
    """The best of the ways in which a peer can use two cores."""
    python = _environment(name)
    ways = {"one process of 1 thread": (1, 1), "one process of 2 threads": (1, 2), "two processes of 1": (2, 1)}
    found = {}
    for way, (processes, threads) in ways.items():
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        words = [str(python), "-c", PEER, name, str(steps), str(threads)]
        running = [
            subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
            for _ in range(processes)
        ]
        lines = [line.split() for p in running for line in p.communicate()[0].splitlines() if line.startswith("RATE")]
        if len(lines) != processes:
            raise SystemExit(f"{name} failed in {python}")
        found[way] = (sum(float(line[1]) for line in lines), max(float(line[2]) for line in lines))
    way = max(found, key=lambda w: found[w][0])
    return {
        "rate": found[way][0],
        "start_up": found[way][1],
        "way": way,
        "ways": {w: r for w, (r, _) in found.items()},
    }


def _environment(name: str) -> Path:
    """The peer's own Python, made once; torchvision breaks beside a CPU build of torch."""
    place = Path(tempfile.gettempdir()) / f"thalweg-bench-{name}"
    python = place / "bin" / "python"
    if not (place / "done").exists():
        venv.create(place, with_pip=True, clear=True)
        pip = [str(python), "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "-q", f"torch=={torch.__version__.split('+')[0]}", PEERS[name]], check=True)
        subprocess.run([*pip, "uninstall", "-q", "-y", "torchvision"], check=True)
        (place / "done").touch()
    return python


def memory(budget: int, steps: int) -> dict[str, float]:
    """Peak resident set of a survey of 26 x 256 replicas, all processes together, MiB."""
    with tempfile.TemporaryDirectory() as folder:
        for step in range(CHECKPOINTS):
            torch.manual_seed(step)
            state = Adder(P, EMBEDDING, HIDDEN).state_dict()
            save_file(state, f"{folder}/step-{step}.safetensors", {"step": str(step)})
        script = (
            f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\nimport sgld, thalweg as tw\n"
            f"tw.survey(sgld.world(), tw.checkpoints({folder!r}), {folder + '/out'!r}, memory={budget}, chains=256,"
            f" burn_in=0, draws={steps}, batch_size=64, step_size=1e-3, gamma=5.0)"
        )
        process = subprocess.Popen([sys.executable, "-c", script])
        peak = {"resident": 0, "unique": 0}
        watch = threading.Thread(target=_watch, args=(psutil.Process(process.pid), peak))
        watch.start()
        began = time.perf_counter()
        if process.wait():
            raise SystemExit("the memory run failed")
        seconds = time.perf_counter() - began
        watch.join()
    return {
        "budget_mib": budget / 2**20,
        "peak_resident_mib": peak["resident"] / 2**20,
        "peak_proportional_mib": peak["unique"] / 2**20,
        "rate": CHECKPOINTS * 256 * steps / seconds,
    }


def _watch(process: psutil.Process, peak: dict[str, int]) -> None:
    """Follow a process and its children; `resident` counts shared pages once for each of them."""
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        try:
            seen = [p.memory_full_info() for p in (process, *process.children(recursive=True))]
        except psutil.Error:
            continue
        peak["resident"] = max(peak["resident"], sum(m.rss for m in seen))
        peak["unique"] = max(peak["unique"], sum(m.pss for m in seen))
        time.sleep(0.05)


def main() -> None:
    """Measure, and print a table of rates and ratios."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the steps")
    parser.add_argument("--memory", default="1GiB", help="budget of the memory run")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--only", choices=["speed", "memory"])
    words = parser.parse_args()
    scale = 10 if words.quick else 1
    report: dict = {"load_before": os.getloadavg()[0], "cores": os.cpu_count(), "torch": torch.__version__}
    if words.only != "memory":
        report["limit"] = {"rate": limit(2000 // scale)}
        report["thalweg"] = ours(3000 // scale, compiled=False)
        report["thalweg, compiled"] = ours(6000 // scale, compiled=True)
        report["devinterp"] = peer("devinterp", 1000 // scale)
        report["canonical"] = peer("canonical", 4000 // scale)
        report["limit, again"] = {"rate": limit(2000 // scale)}
        _table(report)
    if words.only != "speed":
        report["memory"] = memory(amount(words.memory) or 0, 256 // scale)
        print("26 x 256 replicas: " + ", ".join(f"{k} {v:,.0f}" for k, v in report["memory"].items()))
    if words.json:
        words.json.write_text(json.dumps(report, indent=1))


def _table(report: dict) -> None:
    """Rates, and how they compare."""
    best = max(report["limit"]["rate"], report["limit, again"]["rate"])
    print(f"{'':20}{'chain-steps/s':>14}{'start-up s':>12}{'x devinterp':>13}{'x canonical':>13}{'limit / it':>12}")
    for name in ("limit", "limit, again", "thalweg", "thalweg, compiled", "devinterp", "canonical"):
        rate, up = report[name]["rate"], report[name].get("start_up")
        ratios = (rate / report["devinterp"]["rate"], rate / report["canonical"]["rate"], best / rate)
        print(
            f"{name:20}{rate:14,.0f}{up or 0:12.1f}"
            + "".join(f"{r:{w}.2f}" for r, w in zip(ratios, (13, 13, 12), strict=True))
        )
    for name in PEERS:
        print(f"{name}: " + ", ".join(f"{way} {rate:,.0f}" for way, rate in report[name]["ways"].items()))


if __name__ == "__main__":
    main()
