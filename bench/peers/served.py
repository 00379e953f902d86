"""A peer as a process that the driver asks for one thing at a time, so that contenders take turns.

Requests and answers are lines of JSON on standard input and output; what the frameworks print goes
to standard error.
"""

import json
import os
import resource
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol


@dataclass(frozen=True)
class PeerSetup:
    """What a peer trains and how."""

    job: str  # path of the job file
    weights: str  # path of the initial weights
    batch: int  # of all ranks
    variant: list[str]  # of the peer: "compile", "channels_last", ...
    ranks: int = 1

    BATCHES: ClassVar[int] = 64  # that are held in memory and trained on in turn

    @staticmethod
    def from_argv() -> "PeerSetup":
        return PeerSetup(**json.loads(sys.argv[1]))

    @property
    def job_path(self) -> Path:
        return Path(self.job)

    @property
    def weights_path(self) -> Path:
        return Path(self.weights)


class Peer(Protocol):
    """One model with its optimizer, ready to train."""

    def losses(self, steps: int) -> list[float]:
        """Trains on the first batches; the loss of each before its update. Called once, first."""

    def run(self, steps: int) -> float:
        """Trains as fast as it can; the seconds it took."""

    def versions(self) -> dict[str, str]:
        """Of what computes."""


def serve(peer: Peer) -> None:
    """Answers requests until the input ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    print(json.dumps({"ready": peer.versions()}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if "losses" in request:
            answer: dict = {"losses": peer.losses(request["losses"])}
        else:
            answer = {"seconds": peer.run(request["run"])}
        answer["peak_kib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps(answer), file=answers, flush=True)
