#!/usr/bin/env python3
"""Lockstep and its peers side by side: the same job, weights and batches, turns in random order.

run.sh sets up the environment and calls this; --help says what can be chosen.
"""

import argparse
import random
import sys
import tempfile
from datetime import date
from pathlib import Path

import job as jobs
import report
from contenders import (
    ROOT,
    CannotRunError,
    Case,
    Lockstep,
    Served,
    is_gan,
    peers_of,
    quiet_core_dumps,
    step_facts,
)
from report import CaseResult, Turns

EXAMPLES = ROOT / "examples"
CASES = [
    Case("cnn-32", EXAMPLES / "fashion_mnist_cnn.yaml", 32),
    Case("cnn-128", EXAMPLES / "fashion_mnist_cnn.yaml", 128),
    Case("lstm-32", EXAMPLES / "fashion_mnist_lstm.yaml", 32),
    Case("lstm-128", EXAMPLES / "fashion_mnist_lstm.yaml", 128),
    Case("gan-128", EXAMPLES / "fashion_mnist_gan.yaml", 128),
    Case("resnet20-128", EXAMPLES / "fashion_mnist_resnet20.yaml", 128, tolerance=2e-2),
    Case("cnn-2x32", EXAMPLES / "fashion_mnist_cnn.yaml", 64, ranks=2),
    Case("lstm-2x32", EXAMPLES / "fashion_mnist_lstm.yaml", 64, ranks=2),
]
CHECKED_STEPS = 10
FIRST_TOLERANCE = 1e-4  # of the first loss: no update is in it


def say(line: str) -> None:
    """To the terminal, while the tables go to files."""
    print(line, file=sys.stderr, flush=True)


def distances(ours: list[float], theirs: list[float]) -> list[float]:
    """The differences of the steps' losses, relative to ours."""
    return [abs(a - b) / abs(a) for a, b in zip(ours, theirs)]


class Contest:
    """One case: everyone gets ready and is checked, then all take turns."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.case, self.folder = case, folder
        self.turns: list[Turns] = []
        self.contenders: list[Lockstep | Served] = []
        self.skipped: list[str] = []

    def get_ready(self, only: list[str]) -> None:
        """Raises CannotRunError where Lockstep itself cannot run the case."""
        if not self.case.job_file.exists():
            raise CannotRunError(f"{self.case.job_file.name} does not exist")
        ours = Lockstep(self.case, self.folder)
        weights = ours.initial_weights()
        self._admit(ours, None)
        losses = None if is_gan(ours.job) else ours.losses(CHECKED_STEPS)
        if losses and max(losses) - min(losses) < 5 * self.case.tolerance * max(losses):
            raise CannotRunError(f"the losses {losses} hardly move: they would show no difference")
        for peer, variant in peers_of(self.case, ours.job):
            if only and not any(word in " ".join([peer, *variant]) for word in only):
                continue
            try:
                contender = Served(self.case, weights, peer, variant)
                self._admit(contender, self._compared(contender, losses))
            except CannotRunError as error:
                self.skipped.append(str(error))
                say(f"  left out: {error}")

    def _compared(self, contender: Served, ours: list[float] | None) -> float | None:
        """How far its first losses are from ours; raises where it is not the same training."""
        theirs = contender.losses(CHECKED_STEPS)
        if ours is None:
            return None
        apart = distances(ours, theirs)
        if apart[0] > FIRST_TOLERANCE or max(apart) > self.case.tolerance:
            contender.close()
            raise CannotRunError(
                f"{contender.name}: its losses are {max(apart):.1e} from ours, not the same "
                f"training: {theirs}, ours {ours}"
            )
        return max(apart)

    def _admit(self, contender: Lockstep | Served, apart: float | None) -> None:
        seconds = min(contender.run(3) for _ in range(2)) / 3
        agreement = "" if apart is None else f", losses within {apart:.0e} of ours"
        say(f"  {contender.name}: {seconds * 1e3:.2f} ms a step{agreement}")
        self.contenders.append(contender)
        self.turns.append(Turns(contender.name, contender.versions, apart, [seconds]))

    def take_turns(self, rounds: int, seconds: float, rng: random.Random) -> None:
        """A turn is as many steps as take `seconds`."""
        order = list(zip(self.contenders, self.turns))
        for round_ in range(rounds):
            rng.shuffle(order)
            for contender, turns in order:
                steps = max(2, round(seconds / min(turns.seconds)))
                turns.seconds.append(contender.run(steps) / steps)
            say(f"  round {round_ + 1} of {rounds}")
        for contender, turns in order:
            del turns.seconds[0]  # that of the admission
            turns.peak_kib = contender.peak_kib

    def close(self) -> None:
        for contender in self.contenders:
            contender.close()


def hold(case: Case, arguments: argparse.Namespace) -> CaseResult:
    """One case from start to end."""
    say(f"{case.name}: {case.job_file.name}, batch {case.batch}, {case.ranks} rank(s)")
    result = CaseResult(case.name, case.job_file.name, case.batch, case.ranks)
    with tempfile.TemporaryDirectory() as folder:
        contest = Contest(case, Path(folder))
        try:
            contest.get_ready(arguments.only)
            result.facts = step_facts(case)
            contest.take_turns(arguments.rounds, arguments.seconds, random.Random(case.name))
            result.turns = contest.turns
        except CannotRunError as error:
            say(f"  skipped: {error}")
            result.skipped = str(error)
        finally:
            contest.close()
        result.left_out = contest.skipped
    return result


def chosen(words: list[str]) -> list[str]:
    """The command line but for where the report goes."""
    at = words.index("--out") if "--out" in words else len(words)
    return words[:at] + words[at + 2 :]


def main() -> int:
    """0 where every case that Lockstep can run was compared with every peer."""
    names = [case.name for case in CASES]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--cases", nargs="+", choices=names, default=names, metavar="CASE", help=", ".join(names)
    )
    parser.add_argument(
        "--only", nargs="+", default=[], help="peers whose name has one of these words"
    )
    parser.add_argument("--rounds", type=int, default=15, help="turns of each contender")
    parser.add_argument("--seconds", type=float, default=0.5, help="of one turn")
    parser.add_argument(
        "--out",
        type=Path,
        default=ROOT / "docs" / "perf" / f"peers-{date.today()}",
        help="writes OUT.md and OUT.json; else docs/perf/peers-DATE",
    )
    arguments = parser.parse_args()
    quiet_core_dumps()
    jobs.load(CASES[0].job_file)  # fails early where nothing is set up
    results = [hold(case, arguments) for case in CASES if case.name in arguments.cases]
    report.write(results, arguments.out, chosen(sys.argv[1:]))
    say(f"{arguments.out}.md and {arguments.out}.json")
    return 1 if any(result.left_out for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
