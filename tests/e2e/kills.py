"""kill -9 at any moment: every step exactly once, nothing left, the hash of the undisturbed run."""

from __future__ import annotations

import dataclasses
import random
import shutil
import signal
import statistics
import subprocess
import time
from pathlib import Path

import lockstep
from lockstep import OPTIONS, checkpoint_steps, last_step
from programs import Process, is_alive, wait_until

RECOVERY_SECONDS_MAX = 2.0  # the median, from the kill of a worker to the next committed step
ROLES = ("worker", "worker", "mpirun", "helper", "cli")


@dataclasses.dataclass(frozen=True)
class Kill:
    """One kill and what came of it."""

    role: str
    step: int
    seconds: float  # until the next committed step


class Run:
    """A job under `lockstep run` that a test disturbs."""

    def __init__(self, case: KillCase, job: Path, out: Path, workers: int = 2) -> None:
        """Begins at once."""
        self.case = case
        self.job = job
        self.out = out
        self.metrics = out / "metrics.jsonl"
        self.log = case.dir / f"{out.name}.log"
        self.process: subprocess.Popen[bytes]
        self.start(workers, resume=False)

    def start(self, workers: int, resume: bool) -> None:
        """A new CLI; the old one has ended."""
        command = self.case.cli_command("run", self.job, "-n", workers, "--out", self.out)
        self.process = self.case.start([*command, "--resume"] if resume else command, self.log)

    def wait_for_step(self, step: int, newer_than: int = -1) -> None:
        """Until `step` is committed and there is a checkpoint newer than the given one."""

        def there() -> bool:
            self.check_alive()
            newest = (checkpoint_steps(self.out) or [0])[0]
            return last_step(self.metrics) >= step and newest > newer_than

        wait_until(there, f"step {step} of {self.out.name}", 60.0)

    def wait_for_words(self, words: str) -> None:
        """Until the CLI has said so."""

        def said() -> bool:
            self.check_alive()
            return words in self.log.read_text()

        wait_until(said, f"'{words}'", 60.0)

    def check_alive(self) -> None:
        """An end before its time is shown with all that was said."""
        if self.process.poll() is not None:
            said = f"{self.log.read_text()}\n{self.case.logs()}"
            self.case.fail(f"the run has ended with {self.process.returncode}\n{said}")

    def find(self, role: str) -> list[Process]:
        """The processes of a role, as soon as there are some."""
        return wait_until(lambda: self.case.processes(role), f"a process '{role}'")

    def next_commit(self, before: tuple[int, int], kept: int) -> None:
        """Until an attempt has committed a step after `kept`; `before`: the file as it was left."""

        def committed() -> bool:
            self.check_alive()
            return self.state_of_metrics() != before and last_step(self.metrics) > kept

        wait_until(committed, "the next committed step", 60.0)

    def state_of_metrics(self) -> tuple[int, int]:
        """Changes whenever somebody cuts or extends the file."""
        info = self.metrics.stat()
        return info.st_size, info.st_mtime_ns

    def finish(self) -> None:
        """Ends an endless job where it is, and compares it with an undisturbed one.

        What has been trained so far is then the whole job, whatever the speed of the machine.
        """
        self.check_alive()
        self.process.terminate()
        wait_until(lambda: self.process.poll() is not None, "the end after SIGTERM", 60.0, 0.01)
        said = self.log.read_text()
        self.case.assertEqual(self.process.returncode, 130, f"{said}\n{self.case.logs()}")
        end = ("--steps", checkpoint_steps(self.out)[0])
        self.case.cli("run", self.job, "--out", self.out, "--resume", *end)
        self.case.assert_same_run(self.out, self.case.undisturbed(self.job, *end))

    def end(self) -> None:
        """Waits for the success of a job that ends."""
        wait_until(
            lambda: self.process.poll() is not None, f"the end of {self.out.name}", 120.0, 0.01
        )
        said = self.log.read_text()
        self.case.assertEqual(self.process.returncode, 0, f"{said}\n{self.case.logs()}")


class KillCase(lockstep.Case):
    """Cases whose jobs are disturbed."""

    def require_whole(self) -> None:
        """For what takes longer than every change can wait."""
        if not OPTIONS.whole:
            self.skipTest("takes its time: --whole")

    def start_endless(self, workers: int = 2) -> Run:
        """A run that does not end by itself; 10 steps an epoch."""
        job = self.make_small_job(**{**lockstep.PACE, "steps": 10**9})
        return Run(self, job, self.out("disturbed"), workers)

    def make_short_job(self, **changes: int) -> tuple[Path, Path]:
        """A job of a few steps and its undisturbed run."""
        job = self.make_small_job(**{**lockstep.PACE, "steps": 30, **changes})
        return job, self.undisturbed(job)


class RandomKills(KillCase):
    """Many kills in one job's life, each of a random process at a random step."""

    def live(self, kills: int, chance: random.Random) -> list[Kill]:
        """Trains through all kills."""
        run = self.start_endless()
        done: list[Kill] = []
        kept = 0
        for number in range(1, kills + 1):
            run.wait_for_step(kept + chance.randint(1, 200), newer_than=kept)
            kill, what_then = self.kill(run, chance)
            kept = (checkpoint_steps(run.out) or [0])[0]
            done.append(kill)
            what = f"{kill.role} after step {kill.step}, {what_then}"
            print(f"kill {number}: {what}: {kill.seconds:.2f} s", flush=True)
        run.finish()
        return done

    def kill(self, run: Run, chance: random.Random) -> tuple[Kill, str]:
        """One kill, and the wait for the next committed step."""
        role = chance.choice(ROLES)
        workers = run.find("worker")
        victim = chance.choice(workers if role == "worker" else run.find(role))
        step = last_step(run.metrics)
        start = time.monotonic()
        victim.kill()
        wait_until(
            lambda: not any(is_alive(worker.pid) for worker in workers), "the end of all workers"
        )
        before = run.state_of_metrics()
        kept = (checkpoint_steps(run.out) or [0])[0]
        what_then = "recovered"
        if role == "cli":
            run.process.wait()
            wait_until(lambda: not self.processes(), "the end of what the CLI had started", 3.0)
            count = chance.choice([1, 2, 3])
            run.start(count, resume=True)
            what_then = f"resumed with {count} workers"
        run.next_commit(before, kept)
        return Kill(role, step, time.monotonic() - start), what_then

    def test_any_process_at_any_step(self) -> None:
        for seed in (OPTIONS.seed, OPTIONS.seed + 1000):
            done = self.live(50 if OPTIONS.whole else 12, random.Random(seed))
            self.assert_nothing_left()
            recoveries = [kill.seconds for kill in done if kill.role != "cli"]
            median = statistics.median(recoveries)
            figures = f"median {median:.2f} s, longest {max(recoveries):.2f} s"
            print(f"{len(recoveries)} recoveries, {figures}", flush=True)
            if median <= RECOVERY_SECONDS_MAX:
                return
            # The cores may be shared: once more.
            shutil.rmtree(self.dir / "disturbed")
        self.fail(f"median recovery {median:.2f} s, promised are {RECOVERY_SECONDS_MAX} s")


class ChosenKills(KillCase):
    """The moments at which something is half done."""

    def test_while_a_checkpoint_is_written(self) -> None:
        run = self.start_endless()
        kept = 0
        for seed in range(3):
            run.wait_for_step(kept + 20, newer_than=kept)
            victim = random.Random(seed).choice(run.find("worker"))
            wait_until(
                lambda: list(run.out.glob("checkpoints/*.tmp-*")), "a checkpoint being written"
            )
            victim.kill()
            wait_until(lambda pid=victim.pid: not is_alive(pid), "its end")
            kept = checkpoint_steps(run.out)[0]
        run.wait_for_step(0, newer_than=kept)
        run.finish()

    def test_while_validation_runs(self) -> None:
        job, reference = self.make_short_job(steps=40, validation=60000)
        for signal_number in (signal.SIGKILL, signal.SIGTERM):
            run = Run(self, job, self.out(f"disturbed-{signal_number}"))
            wait_until(
                lambda metrics=run.metrics: last_step(metrics) == 10, "the last step of the epoch"
            )
            run.find("worker")[-1].kill(signal_number)
            if signal_number == signal.SIGTERM:  # of one worker: all stop after a checkpoint
                self.assertEqual(run.process.wait(20), 130, run.log.read_text())
                self.assertEqual(checkpoint_steps(run.out)[0], 10)
                run.start(1, resume=True)
            run.end()
            self.assert_same_run(run.out, reference)

    def test_after_the_last_step(self) -> None:
        # The test set takes its time; then come the model and the result.
        job, reference = self.make_short_job(steps=20, test=60000)
        run = Run(self, job, self.out("disturbed"))
        wait_until(lambda: last_step(run.metrics) == 20, "the last step")
        run.find("worker")[0].kill()
        run.end()
        self.assert_same_run(run.out, reference)

    def test_during_the_start_of_any_process(self) -> None:
        job, reference = self.make_short_job()
        for role in ("helper", "mpirun", "worker", "cli"):
            with self.subTest(role=role):
                run = Run(self, job, self.out(f"disturbed-{role}"))
                started = run.find("helper" if role == "cli" else role)
                if role != "cli":
                    started[-1].kill()
                else:
                    run.process.kill()
                    run.process.wait()
                    run.start(1, resume=True)
                run.end()
                self.assert_same_run(run.out, reference)

    def test_twice_in_a_row(self) -> None:
        run = self.start_endless()
        run.wait_for_step(30, newer_than=0)
        first = run.find("worker")
        first[0].kill()
        old = {worker.pid for worker in first}
        second = wait_until(
            lambda: [worker for worker in self.processes("worker") if worker.pid not in old],
            "the next attempt's workers",
        )
        second[0].kill()
        run.wait_for_words("attempt 2 ended")
        run.finish()

    def test_all_processes_at_once(self) -> None:
        run = self.start_endless()
        run.wait_for_step(30, newer_than=0)
        for process in self.processes():
            process.kill(signal.SIGSTOP)  # nobody may tidy up after another
        for process in self.processes():
            process.kill()
        run.process.wait()
        run.start(1, resume=True)
        run.wait_for_words("resuming from step")
        run.finish()

    def test_three_attempts_without_a_checkpoint_are_enough(self) -> None:
        self.require_whole()
        job, reference = self.make_short_job()
        run = Run(self, job, self.out("disturbed"))
        seen: set[int] = set()
        while run.process.poll() is None:
            for worker in self.processes("worker"):
                if worker.pid not in seen:
                    worker.kill()
                    seen.add(worker.pid)
        said = run.log.read_text()
        self.assertEqual(run.process.returncode, 1, said)
        self.assertIn("3 attempts in a row ended without a new checkpoint", said)
        run.start(2, resume=True)
        run.end()
        self.assert_same_run(run.out, reference)

    def test_a_stopped_worker_is_replaced(self) -> None:
        self.require_whole()
        run = self.start_endless()
        run.wait_for_step(30, newer_than=0)
        run.find("worker")[0].kill(signal.SIGSTOP)
        run.wait_for_words("no progress after step")
        run.finish()


class Resumes(KillCase):
    """Who may go on from where."""

    def test_a_finished_run_resumed_again_stays_as_it_is(self) -> None:
        job = self.make_small_job(epochs=None, steps=37)
        reference = self.undisturbed(job)
        out = self.out("again")
        self.cli("run", job, "--out", out)
        for workers in (1, 3):
            self.cli("run", job, "--out", out, "--resume", "-n", workers)
            self.assert_same_run(out, reference)

    def test_more_epochs_after_success_give_the_longer_run(self) -> None:
        job = self.make_small_job(epochs=4)
        reference, out = self.undisturbed(job), self.out("in-parts")
        # To the middle of an epoch, to the end of one, to the end.
        for options in (["--steps", 20], ["--epochs", 2, "--resume"], ["--resume"]):
            self.cli("run", job, "--out", out, "-n", len(options), *options)
        self.assert_same_run(out, reference)

    def test_either_way_of_running_goes_on_from_the_other(self) -> None:
        run = self.start_endless()
        run.wait_for_step(30, newer_than=0)
        run.process.kill()
        run.process.wait()
        wait_until(lambda: not self.processes(), "the end of the first run", 3.0)
        command = self.mpirun_command(3, "--job", run.job, "--out", run.out, "--resume")
        bare = self.start(command, run.log)
        kept = checkpoint_steps(run.out)[0]
        wait_until(lambda: checkpoint_steps(run.out)[0] > kept, "a checkpoint of the bare run")
        self.processes("worker")[1].kill()
        self.assertEqual(bare.wait(20), 137, run.log.read_text())
        kept = checkpoint_steps(run.out)[0]
        run.start(2, resume=True)
        run.wait_for_step(0, newer_than=kept)
        run.finish()

    def test_a_directory_has_one_run_at_a_time(self) -> None:
        run = self.start_endless()
        run.wait_for_step(30, newer_than=0)
        for options in ([], ["--resume"]):
            refused = self.cli("run", run.job, "--out", run.out, *options, expect=2)
            self.assertIn("another run is using this directory", refused.err)
            refused = self.bare(1, "--job", run.job, "--out", run.out, *options, expect=65)
            self.assertIn("is in use by another run", refused.err)
        run.finish()


if __name__ == "__main__":
    lockstep.main()
