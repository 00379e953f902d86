"""A GAN from outside: two models and two optimizers, one hash and the same pictures for any way."""

from __future__ import annotations

from pathlib import Path

import lockstep
from jobs import SIDE, small_gan_job, write_images
from lockstep import checkpoint_steps, last_step
from programs import wait_until

PNG = b"\x89PNG\r\n\x1a\n"


class Gan(lockstep.Case):
    """Runs of a small GAN on images of 8 x 8."""

    def make_job(self, units: int, samples: int = 290, **train: int) -> Path:
        """The job with its data."""
        job = small_gan_job(units)
        job["data"]["train"] = write_images(self.dir, "train", samples, 1)
        del job["data"]["train"]["targets"]
        job["train"].update(train)
        return self.write_job(job)

    def pictures(self, out: Path) -> dict[str, bytes]:
        """All files of samples/."""
        return {path.name: path.read_bytes() for path in sorted((out / "samples").iterdir())}

    def test_one_hash_and_the_same_pictures_for_any_way(self) -> None:
        job = self.make_job(24)
        reference = self.undisturbed(job)
        pictures = self.pictures(reference)
        self.assertEqual(list(pictures), [f"epoch-000{epoch}.png" for epoch in (1, 2, 3)])
        for name, content in pictures.items():
            self.assertTrue(content.startswith(PNG), name)
        # Width and height: 4 x 3 pictures, one pixel apart.
        size = (
            int.from_bytes(pictures["epoch-0001.png"][16:20]),
            int.from_bytes(pictures["epoch-0001.png"][20:24]),
        )
        self.assertEqual(size, (3 * (SIDE + 1) - 1, 4 * (SIDE + 1) - 1))
        metrics = self.result(reference)["metrics"]
        self.assertEqual(list(metrics), ["loss", "d_loss", "g_loss"])
        for way, workers, threads in (("run", 3, 2), ("run", 8, 1), ("bare", 2, 1), ("bare", 5, 2)):
            with self.subTest(way=way, workers=workers, threads=threads):
                out = self.out(f"{way}-{workers}")
                if way == "run":
                    self.cli("run", job, "-n", workers, "--threads", threads, "--out", out)
                else:
                    self.bare(workers, "--job", job, "--out", out, threads=threads)
                self.assert_same_run(out, reference)
                self.assertEqual(self.pictures(out), pictures)

    def test_a_killed_worker_changes_nothing(self) -> None:
        job = self.make_job(400, samples=2560, batch_size=128, epochs=15)
        reference = self.undisturbed(job)
        out = self.out("killed")
        log = self.dir / "killed.log"
        process = self.start(self.cli_command("run", job, "-n", 2, "--out", out), log)

        def in_the_middle() -> bool:
            self.assertIsNone(process.poll(), f"{log.read_text()}\n{self.logs()}")
            return bool(checkpoint_steps(out)) and last_step(out / "metrics.jsonl") > 90

        wait_until(in_the_middle, "the middle of the run", 60.0)
        self.processes("worker")[0].kill()
        wait_until(lambda: process.poll() is not None, "the end", 120.0)
        self.assertEqual(process.returncode, 0, log.read_text())
        self.assertGreater(len(list(out.glob("logs/*"))), 1, "there was a second attempt")
        self.assert_same_run(out, reference)
        self.assertEqual(self.pictures(out), self.pictures(reference))


if __name__ == "__main__":
    lockstep.main()
