"""Who takes turns: Lockstep's worker under mpirun, and peers as served processes."""

import json
import os
import resource
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import job as jobs

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build" / "release"
MPIRUN = [
    "mpirun",
    "--mca",
    "btl",
    "vader,self",
    "--mca",
    "btl_vader_single_copy_mechanism",
    "none",
]


class CannotRunError(Exception):
    """A contender that this case is not for, with the reason in one line."""


@dataclass(frozen=True)
class Case:
    """A model at a batch size; `batch` is that of all ranks.

    Losses of the first steps must agree to `tolerance`, relative to ours: what rounding does to
    them, Adam's first steps being signs of gradients, but no other training.
    """

    name: str
    job_file: Path
    batch: int
    ranks: int = 1
    tolerance: float = 1e-3

    def environment(self) -> dict[str, str]:
        """One thread a rank; nothing that cripples a library's choice of kernels."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
        threads = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        tensorflow = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
        xla = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"}
        quiet = {
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "CUDA_VISIBLE_DEVICES": "",
            "GLOO_SOCKET_IFNAME": "lo",
        }
        root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        return kept | threads | tensorflow | xla | quiet | root

    def pin(self) -> None:
        """In a child: one core a rank, the last ones."""
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-self.ranks :])


class Lockstep:
    """Every measurement is a run of its own, whose metrics.jsonl says when each step ended."""

    name = "Lockstep"
    WARM_UP: ClassVar[int] = 5

    def __init__(self, case: Case, folder: Path) -> None:
        self.case, self.folder = case, folder
        self.job = jobs.load(case.job_file)
        self.peak_kib = 0
        self.versions: dict[str, str] = {}

    def _run(self, steps: int, learning_rate: float | None = None) -> Path:
        varied = jobs.variation(self.job, self.case.batch, steps, learning_rate)
        path, out = self.folder / "job.json", self.folder / "run"
        path.write_text(json.dumps(varied), encoding="utf-8")
        shutil.rmtree(out, ignore_errors=True)
        bind = ["--bind-to", "core"] if self.case.ranks > 1 else ["--bind-to", "none"]
        worker = [str(BUILD / "bin" / "lockstep-worker"), "--job", str(path), "--out", str(out)]
        child = subprocess.Popen(
            [*MPIRUN, *bind, "-np", str(self.case.ranks), *worker],
            env=self.case.environment(),
            preexec_fn=self.case.pin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        message = child.stderr.read().strip()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            raise CannotRunError(message.splitlines()[0] if message else f"exit {status}")
        self.peak_kib = max(self.peak_kib, usage.ru_maxrss)
        return out

    def initial_weights(self) -> Path:
        """A step of learning rate 0 leaves all trained variables as they begin."""
        target = self.folder / "initial.safetensors"
        shutil.copy(self._run(1, 0.0) / "model.safetensors", target)
        return target

    def _steps(self, steps: int) -> list[dict]:
        """The lines of metrics.jsonl."""
        out = self._run(steps)
        result = json.loads((out / "result.json").read_text(encoding="utf-8"))
        self.versions = {"lockstep": result["version"], "isa": result["simd"]}
        lines = map(json.loads, (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
        return [line for line in lines if line["kind"] == "step"]

    def losses(self, steps: int) -> list[float]:
        return [line["loss"] for line in self._steps(steps)]

    def run(self, steps: int) -> float:
        """Behind some steps that warm a new process, as the peers have been warmed."""
        lines = self._steps(self.WARM_UP + steps)
        return lines[-1]["seconds"] - lines[self.WARM_UP - 1]["seconds"]

    def close(self) -> None:
        pass


class Served:
    """A peer in a process of its own that waits between its turns."""

    def __init__(self, case: Case, weights: Path, peer: str, variant: list[str]) -> None:
        self.name = " ".join([peer, *variant])
        script = "torch_peer.py" if peer == "PyTorch" else "keras_peer.py"
        backend = {"Keras/TensorFlow": "tensorflow", "Keras/JAX": "jax"}.get(peer, "")
        setup = {
            "job": str(case.job_file),
            "weights": str(weights),
            "batch": case.batch,
            "variant": variant,
            "ranks": case.ranks,
        }
        self.log = weights.with_name(f"{self.name.replace(' ', '-').replace('/', '-')}.log")
        with self.log.open("w") as log:
            self.child = subprocess.Popen(
                [sys.executable, str(HERE / script), json.dumps(setup)],
                env=case.environment() | {"KERAS_BACKEND": backend},
                preexec_fn=case.pin,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.peak_kib = 0
        self.versions = self._answer()["ready"]

    def _answer(self) -> dict:
        line = self.child.stdout.readline()
        if not line:
            said = self.log.read_text(encoding="utf-8").strip().splitlines()
            raise CannotRunError(f"{self.name}: {said[-1] if said else 'ended without a word'}")
        return json.loads(line)

    def _ask(self, request: dict) -> dict:
        print(json.dumps(request), file=self.child.stdin, flush=True)
        answer = self._answer()
        self.peak_kib = answer["peak_kib"]
        return answer

    def losses(self, steps: int) -> list[float]:
        return self._ask({"losses": steps})["losses"]

    def run(self, steps: int) -> float:
        return self._ask({"run": steps})["seconds"]

    def close(self) -> None:
        self.child.stdin.close()
        self.child.wait()


def is_gan(job: dict) -> bool:
    """Its noise is of each framework's own, so that losses cannot be compared."""
    return "models" in job


def peers_of(case: Case, job: dict) -> list[tuple[str, list[str]]]:
    """The settings that may be a peer's best ones for this case."""
    kinds = set() if is_gan(job) else {la.kind for la in jobs.graphs(job)[""].layers}
    modes = [[], ["compile"]]
    if "conv2d" in kinds:
        modes += [[*mode, "channels_last"] for mode in modes]
    peers = [("PyTorch", mode) for mode in modes]
    if not is_gan(job) and case.ranks == 1:
        peers += [("Keras/TensorFlow", []), ("Keras/TensorFlow", ["jit"]), ("Keras/JAX", [])]
    return peers


def step_facts(case: Case) -> dict:
    """What bench_step says of the machine and of this step: roofs and FLOPs."""
    command = [BUILD / "bench" / "bench_step", "--json", "--no-contract", "--seconds", "0.2"]
    command += ["--batch", str(case.batch), case.job_file.relative_to(ROOT)]
    said = subprocess.run(
        list(map(str, command)),
        cwd=ROOT,
        env=case.environment(),
        preexec_fn=case.pin,
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(said.stdout)


def quiet_core_dumps() -> None:
    """A peer that crashes leaves nothing behind."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
