"""A full disk: the job goes on with the last good checkpoint and says so, to an honest end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import lockstep
from lockstep import checkpoint_steps, last_step
from programs import wait_until

DISK_BYTES = 2 << 20
INSIDE = "LOCKSTEP_E2E_INSIDE"


def may_mount() -> bool:
    """Whether this user may have a file system of its own that nobody else sees."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    attempt = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "mount",
        "-t",
        "tmpfs",
        "tmpfs",
        "/mnt",
    ]
    return subprocess.run(attempt, capture_output=True).returncode == 0


class DiskFull(lockstep.Case):
    """`lockstep run` into a disk of two megabytes."""

    def setUp(self) -> None:
        super().setUp()
        self.disk = self.dir / "disk"
        self.disk.mkdir()
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", self.disk], check=True
        )
        # Before everything is removed.
        self.addCleanup(subprocess.run, ["umount", "--lazy", self.disk], check=True)
        self.job = self.make_paced_job(1.0)
        self.out_directory = self.disk / "out"
        self.outs.add(self.out_directory)
        self.ballast = self.disk / "ballast"

    def fill(self) -> None:
        """Leaves not a page."""
        with self.ballast.open("ab", buffering=0) as file:
            try:
                while file.write(bytes(4096)) > 0:
                    pass
            except OSError:
                pass

    def start_until_kept(self) -> subprocess.Popen[bytes]:
        """A run that has a checkpoint."""
        run = self.start_run()
        wait_until(
            lambda: checkpoint_steps(self.out_directory) or run.poll() is not None, "a checkpoint"
        )
        return run

    def start_run(self, *options: str) -> subprocess.Popen[bytes]:
        """`lockstep run` beside this test."""
        command = self.cli_command("run", self.job, "--out", self.out_directory, *options)
        return self.start(command, self.dir / "log")  # which is on another disk

    def said(self) -> str:
        """All that the run has said so far."""
        return (self.dir / "log").read_text()

    def test_a_job_survives_a_disk_that_is_full_for_a_while(self) -> None:
        run = self.start_until_kept()
        self.fill()
        kept = checkpoint_steps(self.out_directory)
        wait_until(
            lambda: "warning: a checkpoint could not be written" in self.said(), "the warning"
        )
        self.assertIsNone(run.poll(), "it goes on")
        self.assertEqual(
            checkpoint_steps(self.out_directory)[:1], kept[:1], "the last good one is kept"
        )
        self.ballast.unlink()
        self.assertEqual(run.wait(60), 0, f"{self.said()}\n{self.logs()}")
        self.assertGreater(
            json.loads((self.out_directory / "result.json").read_text())["checkpoints_failed"], 0
        )
        self.assert_same_run(self.out_directory, self.undisturbed(self.job))

    def test_a_result_that_cannot_be_written_is_a_failure_with_a_way_out(self) -> None:
        run = self.start_until_kept()
        self.fill()
        self.assertEqual(run.wait(60), 1, f"{self.said()}\n{self.logs()}")
        said = self.said()
        self.assertIn("warning: a checkpoint could not be written", said)
        self.assertRegex(
            said, r"error: the result could not be written: .*(No space left on device|free)"
        )
        self.assertFalse((self.out_directory / "result.json").exists())
        self.assertEqual(
            len(list((self.out_directory / "logs").iterdir())), 1, "it is not tried again"
        )
        self.ballast.unlink()
        again = self.start_run("--resume")
        self.assertEqual(again.wait(60), 0, f"{self.said()}\n{self.logs()}")
        self.assert_same_run(self.out_directory, self.undisturbed(self.job))

    def test_a_worker_killed_while_the_disk_is_full(self) -> None:
        run = self.start_until_kept()
        self.fill()
        step = last_step(self.out_directory / "metrics.jsonl")
        self.processes("worker")[0].kill()
        wait_until(lambda: run.poll() is not None, "the end", 60)
        self.assertIn(run.returncode, (0, 1), self.said())
        self.assertGreater(step, 0)
        self.ballast.unlink()
        if run.returncode == 1:
            self.assertRegex(self.said(), "error: .*No space left on device")
            again = self.start_run("--resume")
            self.assertEqual(again.wait(60), 0, f"{self.said()}\n{self.logs()}")
        self.assert_same_run(self.out_directory, self.undisturbed(self.job))

    def test_nothing_starts_on_a_disk_that_is_full_already(self) -> None:
        self.fill()
        done = self.cli("run", self.job, "--out", self.out_directory, expect=2)
        self.assertRegex(
            done.err, r"\nerror: output.directory: .*No space left on device\nhint: make room"
        )
        self.assertEqual(self.processes(), [])


if __name__ == "__main__":
    if INSIDE not in os.environ:
        if not may_mount():
            print("skipped: disk_full needs root and a mount name space of its own")
            sys.exit(lockstep.SKIPPED)
        os.environ[INSIDE] = "1"
        os.execvp(
            "unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv]
        )
    lockstep.main()
