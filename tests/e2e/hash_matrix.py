"""The lockstep contract from outside: one hash for any way to run, workers, threads and target."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import lockstep
from lockstep import OPTIONS


class HashMatrix(lockstep.Case):
    """Every run of a job leaves the same bits and, but for time, the same metrics."""

    def simd_targets(self, job: Path) -> list[str]:
        """What this CPU runs, in the product's own words."""
        refused = self.cli(
            "run", job, "--out", self.dir / "refused", expect=None, LOCKSTEP_SIMD="none"
        )
        listed = re.search(r"use one of ([a-z0-9, ]+) or leave it unset", refused.err)
        self.assertIsNotNone(listed, str(refused))
        return listed[1].split(", ")

    def train(
        self, job: Path, way: str, workers: int, threads: int, simd: str, options: list[str]
    ) -> Path:
        """One cell of the matrix."""
        out = self.out(f"{way}-{workers}-{threads}-{simd}")
        more = {"LOCKSTEP_SIMD": simd} if simd else {}
        if way == "run":
            done = self.cli(
                "run", job, "-n", workers, "--threads", threads, "--out", out, *options, **more
            )
            last_line = done.out.splitlines()[-1]
        else:
            done = self.bare(workers, "--job", job, "--out", out, *options, threads=threads, **more)
            last_line = done.err.splitlines()[-1]
        result = self.result(out)
        self.assertEqual(last_line, f"model sha256 {result['model_sha256']}", str(done))
        self.assertEqual((result["workers"], result["threads"]), (workers, threads))
        if simd:
            self.assertEqual(result["simd"], simd, "the forced target ran")
        return out

    def check_matrix(
        self, job: Path, cells: list[tuple[str, int, int, str]], options: list[str]
    ) -> None:
        """Trains all cells; the first is the reference."""
        reference = None
        hashes = set()
        for way, count, threads, simd in cells:
            with self.subTest(way=way, workers=count, threads=threads, simd=simd or "the best"):
                out = self.train(job, way, count, threads, simd, options)
                reference = reference or out
                self.assert_same_run(out, reference)
                hashes.add(self.result(out)["model_sha256"])
        print(f"{len(cells)} runs: {', '.join(sorted(hashes))}", flush=True)
        self.assertEqual(len(hashes), 1)

    def test_one_hash_for_any_way_workers_threads_and_target(self) -> None:
        if OPTIONS.whole:
            self.skipTest("--whole runs the example instead")
        job = self.make_small_job()
        targets = itertools.cycle(["", *self.simd_targets(job)])
        threads = itertools.cycle([1, 2, 3, 1])
        # Every value of each dimension, not every combination.
        cells = [
            (way, workers, next(threads), next(targets))
            for way in ("run", "mpirun")
            for workers in (1, 2, 3, 5, 8)
        ]
        self.check_matrix(job, cells, [])

    def test_one_hash_for_the_example(self) -> None:
        if not OPTIONS.whole:
            self.skipTest("takes minutes: --whole")
        cells = [
            (way, workers, 1, "") for way in ("run", "mpirun") for workers in (1, 2, 3, 4, 5, 8)
        ]
        cells += [("run", 2, 2, ""), ("mpirun", 2, 3, ""), ("run", 1, 3, ""), ("mpirun", 3, 2, "")]
        for simd in self.simd_targets(OPTIONS.example):
            cells += [("run", 1, 1, simd), ("mpirun", 3, 2, simd)]
        self.check_matrix(OPTIONS.example, cells, ["--steps", "200"])


if __name__ == "__main__":
    lockstep.main()
