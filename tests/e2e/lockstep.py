"""What the end-to-end tests share: their command line, running jobs two ways, and what is left.

A test derives from Case. Everything it starts carries a mark in its environment, so that all its
processes are found and nobody else's are touched; everything it writes lies in a directory of its
own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jobs import Json, small_job, with_change, write_images
from programs import MARK, Done, Process, Terminal, marked_processes, wait_until

SKIPPED = 77  # what ctest takes for "skipped"
TIME_FIELDS = ("seconds",)


class Options(argparse.Namespace):
    """The command line of a test script."""

    cli: Path
    worker: Path
    edit_manifest: Path
    check_hash: Path
    example: Path
    whole: bool
    seed: int


OPTIONS = Options()


def main() -> None:
    """Runs the tests of the calling script; further arguments go to unittest."""
    root = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser()
    parser.add_argument("--cli", type=Path, required=True, help="the program lockstep")
    parser.add_argument("--worker", type=Path, required=True, help="the program lockstep-worker")
    parser.add_argument("--edit-manifest", type=Path, help="the test program edit_manifest")
    parser.add_argument(
        "--whole", action="store_true", help="the whole matrix: minutes instead of seconds"
    )
    parser.add_argument("--seed", type=int, default=1, help="of all random choices")
    parser.set_defaults(
        check_hash=root / "tests/golden/check_hash.py",
        example=root / "examples/fashion_mnist_cnn.yaml",
    )
    _, rest = parser.parse_known_args(namespace=OPTIONS)
    print(f"seed {OPTIONS.seed}; again with: {' '.join(sys.argv)}", flush=True)
    with tempfile.TemporaryDirectory(prefix="lockstep-e2e-") as shared:
        Case.shared = Path(shared)
        program = unittest.main(
            module="__main__", argv=[sys.argv[0], *rest], verbosity=2, exit=False
        )
    sys.exit(not program.result.wasSuccessful())


def read_metrics(path: Path) -> list[Json]:
    """The lines of metrics.jsonl without what a clock has put into them."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in TIME_FIELDS} for line in lines]


def last_step(path: Path) -> int:
    """The newest whole step line of a metrics.jsonl that may be growing; 0: none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            tail = file.read()
    except FileNotFoundError:
        return 0
    steps = re.findall(rb'"step":(\d+),[^\n]*\n', tail)
    return int(steps[-1]) if steps else 0


def checkpoint_steps(out: Path) -> list[int]:
    """The steps of the published checkpoints, newest first."""
    names = os.listdir(out / "checkpoints") if (out / "checkpoints").is_dir() else []
    return sorted(
        (int(name[5:]) for name in names if re.fullmatch(r"step-\d+", name)), reverse=True
    )


PACE = {"samples": 1530, "batch_size": 160, "filters": 32, "epochs": None}
_SECONDS_PER_STEP: list[float] = []  # once measured


class Case(unittest.TestCase):
    """A test with a directory of its own, and the promise that it leaves nothing else."""

    maxDiff = 2000
    shared: Path  # a directory of all tests of a script

    def setUp(self) -> None:
        self._begin = time.monotonic()
        self.dir = Path(tempfile.mkdtemp(prefix="lockstep-e2e-"))
        self.mark = self.dir.name
        self.tmp = self.dir / "tmp"
        self.tmp.mkdir()
        # Where a bare mpirun is told to put its shared memory; `lockstep run` finds its own place.
        self.shm = Path(tempfile.mkdtemp(prefix="lockstep-e2e-", dir="/dev/shm"))
        self.cli_pids: list[int] = []
        self.outs: set[Path] = set()
        self.addCleanup(self._clean_up)

    def tearDown(self) -> None:
        self.assert_nothing_left()

    def _clean_up(self) -> None:
        for process in marked_processes(self.mark):
            process.kill()
        for path in self._shared_memory():
            shutil.rmtree(path, ignore_errors=True)
        shutil.rmtree(self.shm, ignore_errors=True)
        shutil.rmtree(self.dir, ignore_errors=True)
        print(f"{time.monotonic() - self._begin:.1f} s", end=" ", flush=True)

    # Jobs

    def write_job(self, job: Json, name: str = "job.yaml") -> Path:
        """The job file: JSON, hence YAML, with a line for every key that a message may point to."""
        path = self.dir / name
        path.write_text(json.dumps(job, indent=1) + "\n")
        return path

    def make_small_job(
        self,
        samples: int = 290,
        validation: int = 90,
        test: int = 70,
        filters: int = 4,
        **train: Any,
    ) -> Path:
        """The small job with its data; `train` replaces keys of its section."""
        job = with_change(small_job(), "model.layers.0.conv2d.filters", filters)
        job["data"]["train"] = write_images(self.dir, "train", samples, 1)
        if validation:
            job["data"]["validation"] = write_images(self.dir, "validation", validation, 2)
        if test:
            job["data"]["test"] = write_images(self.dir, "test", test, 3)
        job["train"].update(train)
        return self.write_job(job)

    def make_paced_job(self, seconds: float, **changes: Any) -> Path:
        """A job whose training, 10 steps an epoch, lasts about so long on this machine.

        For what is disturbed meanwhile; on a machine of any speed.
        """
        steps = max(40, int(seconds / self._seconds_per_step()))
        return self.make_small_job(**{**PACE, "steps": steps, **changes})

    def steps_of(self, job: Path) -> int:
        """Of a paced job."""
        return json.loads(job.read_text())["train"]["steps"]

    def _seconds_per_step(self) -> float:
        """Measured once."""
        if not _SECONDS_PER_STEP:
            job = self.make_small_job(**{**PACE, "steps": 200})
            _SECONDS_PER_STEP.append(self.result(self.undisturbed(job))["seconds"] / 200)
            print(f"({1e3 * _SECONDS_PER_STEP[0]:.2f} ms a step)", end=" ", flush=True)
        return _SECONDS_PER_STEP[0]

    def out(self, name: str) -> Path:
        """An output directory, which is looked through at the end."""
        path = self.dir / name
        self.outs.add(path)
        return path

    def undisturbed(self, job: Path, *options: Any) -> Path:
        """Where `lockstep run JOB OPTIONS` has run in peace; once for all who ask for the same."""
        data = sorted((path.name, path.stat().st_size) for path in self.dir.glob("*-images"))
        text = f"{job.read_text()} {data} {options}"
        out = self.shared / hashlib.sha256(text.encode()).hexdigest()[:16]
        if not (out / "result.json").exists():
            self.cli("run", job, "--out", out, *options)
        return out

    # Running

    def environment(self, **more: str) -> dict[str, str]:
        """That of every command: hermetic, marked."""
        foreign = ("LOCKSTEP_", "OMPI_", "OPAL_", "ORTE_", "PMIX_", "PMI_", "XDG_", "NO_COLOR")
        env = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
        env.update(
            HOME=str(self.dir),
            TMPDIR=str(self.tmp),
            TERM="xterm",
            LOCKSTEP_CACHE=str(self.dir / "cache"),
            OMPI_ALLOW_RUN_AS_ROOT="1",
            OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
        )
        env[MARK] = self.mark
        env.update(more)
        return env

    def cli_command(self, *args: Any) -> list[str]:
        """The command line of `lockstep ARGS`."""
        return [str(OPTIONS.cli), *map(str, args)]

    def mpirun_command(self, ranks: int, *args: Any, threads: int = 1) -> list[str]:
        """The command line of a bare `mpirun -np RANKS lockstep-worker ARGS`."""
        mpirun = shutil.which("mpirun")
        assert mpirun is not None, "mpirun is not in PATH; install openmpi-bin"
        crowded = ranks * threads > len(os.sched_getaffinity(0))
        settings = {
            "btl": "vader,self",
            "odls_base_sigkill_timeout": "0",  # by default the end of a failed run takes a second
            "mpi_yield_when_idle": "1" if crowded else "0",
            "btl_vader_backing_directory": self.shm,
            "osc_sm_backing_directory": self.shm,
            "osc_rdma_backing_directory": self.shm,
        }
        command = [mpirun, "-np", str(ranks), "--oversubscribe", "--bind-to", "none"]
        for name, value in settings.items():
            command += ["--mca", name, str(value)]
        return [*command, str(OPTIONS.worker), *map(str, args)]

    def start(self, argv: list[str], log: Path, **more: str) -> subprocess.Popen[bytes]:
        """Starts a command that is to be disturbed; what it says goes to `log`."""
        with log.open("ab") as file:
            # A session of its own: as from another terminal.
            process = subprocess.Popen(
                argv,
                cwd=self.dir,
                env=self.environment(**more),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        self.cli_pids.append(process.pid)
        return process

    def command(
        self, argv: list[str], expect: int | None = 0, seconds: float = 120.0, **more: str
    ) -> Done:
        """Runs a command to its end and checks its exit code."""
        process = subprocess.Popen(
            argv,
            cwd=self.dir,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.cli_pids.append(process.pid)
        try:
            out, err = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            self.fail(f"{' '.join(argv)} did not end in {seconds} s\n{out}\n{err}")
        done = Done(process.returncode, out, err)
        if expect is not None and done.code != expect:
            self.fail(f"{' '.join(argv)}: expected exit code {expect}\n{done}\n{self.logs()}")
        return done

    def cli(self, *args: Any, expect: int | None = 0, **more: str) -> Done:
        """Runs `lockstep ARGS`."""
        return self.command(self.cli_command(*args), expect, **more)

    def bare(
        self, ranks: int, *args: Any, expect: int | None = 0, threads: int = 1, **more: str
    ) -> Done:
        """Runs `mpirun -np RANKS lockstep-worker ARGS --threads THREADS`."""
        return self.command(
            self.mpirun_command(ranks, *args, "--threads", threads, threads=threads), expect, **more
        )

    def terminal(self, *args: Any, columns: int = 160, **more: str) -> Terminal:
        """Starts `lockstep ARGS` on a terminal."""
        started = Terminal(self.cli_command(*args), self.dir, self.environment(**more), columns)
        self.cli_pids.append(started.pid)
        return started

    def processes(self, *roles: str) -> list[Process]:
        """The live processes of this test that play one of `roles`; without roles all."""
        return [
            process for process in marked_processes(self.mark) if not roles or process.role in roles
        ]

    def logs(self) -> str:
        """The logs of all attempts, for a failure's message."""
        paths = sorted(path for out in self.outs for path in out.glob("logs/*"))
        return "".join(f"--- {path}\n{path.read_text(errors='replace')}\n" for path in paths)

    # Looking

    def result(self, out: Path) -> Json:
        """The finished run in `out`: its result.json, after the independent check of its hash."""
        result = json.loads((out / "result.json").read_text())
        check = [sys.executable, str(OPTIONS.check_hash), str(out / "model.safetensors")]
        found = subprocess.run(check, capture_output=True, text=True, check=True).stdout.strip()
        self.assertEqual(found, result["model_sha256"], "five lines of Python find another hash")
        self.assertEqual(result["state"], "SUCCEEDED")
        return result

    def assert_same_run(self, out: Path, reference: Path) -> None:
        """The run in `out` is, but for time, the one in `reference`."""
        result, expected = self.result(out), self.result(reference)
        self.assertEqual(result["model_sha256"], expected["model_sha256"])
        self.assertEqual(result["metrics"], expected["metrics"])
        self.assertEqual(
            (result["steps"], result["epochs"]), (expected["steps"], expected["epochs"])
        )
        lines, wanted = (
            read_metrics(out / "metrics.jsonl"),
            read_metrics(reference / "metrics.jsonl"),
        )
        steps = [line["step"] for line in lines if line["kind"] == "step"]
        self.assertEqual(
            steps, list(range(1, result["steps"] + 1)), "every step exactly once, in order"
        )
        epochs = [line["epoch"] for line in lines if line["kind"] == "epoch"]
        self.assertEqual(
            epochs, list(range(1, result["epochs"] + 1)), "every epoch exactly once, in order"
        )
        self.assertEqual(lines, wanted)

    def assert_nothing_left(self) -> None:
        """No process, no shared memory, no temporary file of this test is there any more."""
        if self.processes():
            wait_until(
                lambda: not self.processes(),
                f"the end of all processes; alive: {self.processes()}",
                3.0,
                0.02,
            )
        self.assertEqual(sorted(os.listdir(self.tmp)), [], "temporary files")
        self.assertEqual(sorted(os.listdir(self.shm)), [], "shared memory of mpirun")
        self.assertEqual(self._shared_memory(), [], "shared memory of `lockstep run`")
        for out in self.outs:
            self.assertEqual(list(self._leftovers_of(out)), [], f"in {out}")

    def _shared_memory(self) -> list[Path]:
        """What the attempts of our CLIs have there: lockstep-<pid><start, count>-<attempt>."""
        ours = {f"lockstep-{pid:x}" for pid in self.cli_pids}
        return [
            path
            for path in Path("/dev/shm").iterdir()
            if re.sub(r"[0-9a-f]{12}-\d+$", "", path.name) in ours
        ]

    @staticmethod
    def _leftovers_of(out: Path) -> Iterator[str]:
        if not out.is_dir():
            return
        for path in out.iterdir():
            if path.name not in (
                ".run",
                "checkpoints",
                "logs",
                "job.json",
                "metrics.jsonl",
                "model.safetensors",
                "result.json",
                "samples",
            ):
                yield str(path)
        if (out / "samples").is_dir():
            for path in (out / "samples").iterdir():
                if not re.fullmatch(r"epoch-\d{4}\.png", path.name):
                    yield str(path)
        if (out / ".run").is_dir():
            yield from (str(path) for path in (out / ".run").iterdir() if path.name != "lock")
        if (out / "checkpoints").is_dir():
            known = {"MANIFEST", "values.safetensors", "optimizer.safetensors"}
            for path in (out / "checkpoints").iterdir():
                if not re.fullmatch(r"step-\d+", path.name) or set(os.listdir(path)) != known:
                    yield str(path)
