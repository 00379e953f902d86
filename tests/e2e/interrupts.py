"""Ctrl-C: a checkpoint, exit code 130 and a command that goes on from there; twice: at once."""

from __future__ import annotations

import json
import re
import shlex
import signal
import time
from pathlib import Path

import lockstep
from jobs import with_change
from lockstep import checkpoint_steps, last_step
from programs import Process, Terminal, has_pending, wait_until

CTRL_C = b"\x03"


class Interrupts(lockstep.Case):
    """`lockstep run` on a terminal, interrupted."""

    def setUp(self) -> None:
        super().setUp()
        self.job = self.make_paced_job(0.6)
        # A command to go on must not forget them.
        self.job_options = ["--seed", "9", "--steps", str(self.steps_of(self.job) - 3)]

    def start(self, name: str) -> tuple[Terminal, Path]:
        """A run on a terminal."""
        out = self.out(name)
        return self.terminal("run", self.job, "--out", out, *self.job_options), out

    def wait_for_step(self, terminal: Terminal, out: Path, step: int) -> None:
        """Until a step is committed."""
        metrics = out / "metrics.jsonl"
        wait_until(lambda: terminal.read() or last_step(metrics) >= step, f"step {step}")

    def wait_for_ctrl_c(self, terminal: Terminal) -> None:
        """Until the first one has reached the program."""

        def reached() -> bool:
            return "^C" in terminal.shown and not has_pending(terminal.pid, signal.SIGINT)

        wait_until(lambda: terminal.ended() or reached(), "the first Ctrl-C")

    def assert_can_go_on(self, terminal: Terminal, out: Path) -> None:
        """The terminal shows a command that leads to the result, with other workers too."""
        said = re.search(r"go on with: lockstep (.*)\r\n$", terminal.shown)
        self.assertIsNotNone(said, terminal.shown)
        self.cli(*shlex.split(said[1]), "-n", 1)
        self.assert_same_run(out, self.undisturbed(self.job, *self.job_options))

    def assert_interrupted(self, terminal: Terminal, out: Path) -> None:
        """Exit code 130; what is shown is what is there."""
        self.assertEqual(terminal.wait(20), 130, f"{terminal.shown}\n{self.logs()}")
        newest = (checkpoint_steps(out) or [0])[0]
        wanted = (
            f"the newest checkpoint is of step {newest};"
            if newest
            else "before the first checkpoint;"
        )
        self.assertIn(wanted, terminal.shown)
        self.assert_nothing_left()

    def test_ctrl_c_during_training_keeps_the_last_step(self) -> None:
        terminal, out = self.start("training")
        self.wait_for_step(terminal, out, 13)
        terminal.press(CTRL_C)
        self.assert_interrupted(terminal, out)
        self.assertEqual(checkpoint_steps(out)[0], last_step(out / "metrics.jsonl"))
        self.assert_can_go_on(terminal, out)

    def test_ctrl_c_during_validation_leaves_the_epoch_open(self) -> None:
        # Much longer than the writer of metrics sleeps.
        self.job = self.make_paced_job(0.6, validation=60000)
        self.job_options = ["--steps", "40"]
        terminal, out = self.start("validation")
        metrics = out / "metrics.jsonl"
        self.wait_for_step(terminal, out, 10)
        terminal.press(CTRL_C)
        self.assert_interrupted(terminal, out)
        kinds = {line["kind"] for line in lockstep.read_metrics(metrics)}
        if (
            checkpoint_steps(out)[0] == 10
        ):  # it was in time, as it is on all but the busiest machines
            self.assertEqual(kinds, {"step"})
        self.assert_can_go_on(terminal, out)

    def test_ctrl_c_before_the_first_step_is_not_lost(self) -> None:
        # mpirun loses a signal that comes while it starts its ranks.
        for role in ("helper", "mpirun", "worker"):
            with self.subTest(role=role):
                terminal, out = self.start(f"start-{role}")
                wait_until(lambda role=role: self.processes(role), f"the process {role}")
                terminal.press(CTRL_C)
                self.assert_interrupted(terminal, out)
                self.assertLess(last_step(out / "metrics.jsonl"), self.steps_of(self.job) // 2)
        self.assert_can_go_on(terminal, out)

    def test_a_second_ctrl_c_ends_at_once(self) -> None:
        terminal, out = self.start("twice")
        wait_until(lambda: terminal.read() or checkpoint_steps(out), "a checkpoint")
        for worker in self.processes("worker"):
            worker.kill(signal.SIGSTOP)  # the first one cannot be obeyed
        terminal.press(CTRL_C)
        self.wait_for_ctrl_c(terminal)
        self.assertFalse(terminal.ended())
        start = time.monotonic()
        terminal.press(CTRL_C)
        self.assert_interrupted(terminal, out)
        self.assertLess(time.monotonic() - start, 1.0)
        self.assert_can_go_on(terminal, out)

    def test_sigterm_and_sighup_are_like_ctrl_c(self) -> None:
        for name in ("SIGTERM", "SIGHUP"):
            with self.subTest(signal=name):
                terminal, out = self.start(name)
                self.wait_for_step(terminal, out, 13)
                Process(terminal.pid, "cli").kill(signal.Signals[name])
                self.assert_interrupted(terminal, out)

    def test_an_interrupted_evaluation_leaves_nothing(self) -> None:
        out = self.out("trained")
        self.cli("run", self.job, "--out", out, "--steps", 2)
        terminal = self.terminal("evaluate", self.job, out / "model.safetensors")
        for worker in wait_until(
            lambda: self.processes("worker"), "the workers"
        ):  # before they can have ended
            worker.kill(signal.SIGSTOP)
        terminal.press(CTRL_C)
        self.wait_for_ctrl_c(terminal)
        if not terminal.ended():
            terminal.press(CTRL_C)
        self.assertEqual(terminal.wait(5), 130, terminal.shown)


class BareMpirun(lockstep.Case):
    """Signals that mpirun forwards to its ranks."""

    def setUp(self) -> None:
        super().setUp()
        # One long epoch and no checkpoint but those that are asked for.
        self.steps = self.steps_of(self.make_paced_job(0.6))
        path = self.make_paced_job(
            0.6, samples=160 * self.steps + 160, steps=self.steps, validation=0
        )
        job = with_change(json.loads(path.read_text()), "checkpoint", {"every": "1h"})
        self.job = self.write_job(job)

    def signal_at_step(self, out: Path, step: int, signal_number: int) -> int:
        """The exit code of a bare run that gets a signal after a step."""
        bare = self.start(self.mpirun_command(2, "--job", self.job, "--out", out), self.dir / "log")
        wait_until(lambda: last_step(out / "metrics.jsonl") >= step, f"step {step}")
        bare.send_signal(signal_number)
        return bare.wait(30)

    def test_sigusr1_makes_a_checkpoint_without_stopping(self) -> None:
        out = self.out("out")
        self.assertEqual(
            self.signal_at_step(out, 5, signal.SIGUSR1), 0, (self.dir / "log").read_text()
        )
        end, asked_for = checkpoint_steps(out)
        self.assertEqual(end, self.steps)
        self.assertLess(asked_for, self.steps)
        self.assert_same_run(out, self.undisturbed(self.job))

    def test_sigusr2_makes_a_checkpoint_and_stops(self) -> None:
        out = self.out("out")
        self.assertEqual(
            self.signal_at_step(out, 5, signal.SIGUSR2), 75, (self.dir / "log").read_text()
        )
        self.assertEqual(checkpoint_steps(out), [last_step(out / "metrics.jsonl")])
        self.cli("run", self.job, "--out", out, "--resume", "-n", 1)
        self.assert_same_run(out, self.undisturbed(self.job))


if __name__ == "__main__":
    lockstep.main()
