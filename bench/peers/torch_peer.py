"""PyTorch, alone or as ranks under DistributedDataParallel with gloo.

Variants: "compile" (else eager), "channels_last".
"""

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

import job as jobs
from served import PeerSetup, serve
from torch_model import JobModel

RANK = int(os.environ.get("RANK", "0"))


class FusedAdam(torch.optim.Adam):
    """In one pass over the parameters."""

    def __init__(self, model: torch.nn.Module, options: jobs.Adam) -> None:
        self.options = options
        super().__init__(
            [p for p in model.parameters() if p.requires_grad],
            lr=options.learning_rate,
            betas=(options.beta_1, options.beta_2),
            eps=options.epsilon,
            fused=True,
        )

    def as_keras(self, step: int) -> None:
        """Before a step, counted from 1: torch adds epsilon behind the bias correction."""
        correction = math.sqrt(1 - self.options.beta_2**step)
        self.param_groups[0]["eps"] = self.options.epsilon / correction


class TorchPeer:
    """One rank of a supervised job."""

    def __init__(self, setup: PeerSetup) -> None:
        job = jobs.load(setup.job_path)
        weights = jobs.read_weights(setup.weights_path)
        graph = jobs.graphs(job)[""].without_last_activation()
        self.ranks = setup.ranks
        self.format = (
            torch.channels_last if "channels_last" in setup.variant else torch.contiguous_format
        )
        self.model = self.placed(JobModel(graph, weights))
        self.optimizers = (FusedAdam(self.model, jobs.adam(job)),)
        model = DistributedDataParallel(self.model) if setup.ranks > 1 else self.model
        self.loss = self.compiled(
            lambda x, y: functional.cross_entropy(model(x), y), "compile" in setup.variant
        )
        self.batches = self.own_batches(job, graph, setup)
        self.next = 0

    @staticmethod
    def compiled(function: Callable, wanted: bool) -> Callable:
        return torch.compile(function) if wanted else function

    def placed(self, x: Tensor | torch.nn.Module) -> Tensor | torch.nn.Module:
        """In the memory format of this variant."""
        is_image = isinstance(x, torch.nn.Module) or x.dim() == 4
        return x.to(memory_format=self.format) if is_image else x

    def own_batches(
        self, job: dict, graph: jobs.ModelGraph, setup: PeerSetup
    ) -> list[tuple[Tensor, Tensor]]:
        """This rank's part of each batch."""
        x, y = jobs.samples(job, graph.input_shape, setup.batch * setup.BATCHES)
        part = setup.batch // setup.ranks
        if x.ndim == 4:
            x = x.transpose(0, 3, 1, 2)
        return [
            (self.placed(torch.tensor(x[k : k + part])), torch.tensor(y[k : k + part]))
            for k in range(RANK * part, len(x), setup.batch)
        ]

    def step(self) -> Tensor:
        x, y = self.batches[self.next % len(self.batches)]
        self.next += 1
        (optimizer,) = self.optimizers
        optimizer.zero_grad(set_to_none=True)
        loss = self.loss(x, y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    def checked_step(self, step: int) -> Tensor:
        for optimizer in self.optimizers:
            optimizer.as_keras(step)
        return self.step()

    def losses(self, steps: int) -> list[float]:
        losses = torch.stack([self.checked_step(k + 1) for k in range(steps)])
        if self.ranks > 1:
            dist.all_reduce(losses)
        return (losses / self.ranks).tolist()

    def run(self, steps: int) -> float:
        if self.ranks > 1:
            dist.barrier()
        begin = time.perf_counter()
        for _ in range(steps):
            self.step()
        return time.perf_counter() - begin

    def versions(self) -> dict[str, str]:
        return {"torch": torch.__version__, "isa": torch.backends.cpu.get_cpu_capability()}


class TorchGanPeer(TorchPeer):
    """A generator and a discriminator that update in turns; the fake batch is made once."""

    def __init__(self, setup: PeerSetup) -> None:
        job = jobs.load(setup.job_path)
        weights = jobs.read_weights(setup.weights_path)
        graphs = jobs.graphs(job)
        self.format = torch.contiguous_format
        self.latent = graphs["generator"].input_shape
        judge = graphs["discriminator"].without_last_activation()
        self.generator = JobModel(graphs["generator"], weights, "generator")
        self.discriminator = JobModel(judge, weights, "discriminator")
        self.optimizers = (
            FusedAdam(self.generator, jobs.adam(job, "generator")),
            FusedAdam(self.discriminator, jobs.adam(job, "discriminator")),
        )
        self.batches = self.own_batches(job, judge, setup)
        self.next = 0
        self.ranks = 1
        compiled = "compile" in setup.variant
        self.generate = self.compiled(self.generator, compiled)
        self.loss = self.compiled(self._loss, compiled)

    def _loss(self, pictures: Tensor, real: float) -> Tensor:
        logits = self.discriminator(pictures)
        entropy = functional.binary_cross_entropy_with_logits
        return entropy(logits, torch.full_like(logits, real))

    def step(self) -> Tensor:
        real, _ = self.batches[self.next % len(self.batches)]
        self.next += 1
        for_generator, for_discriminator = self.optimizers
        fake = self.generate(torch.randn(len(real), *self.latent))
        for_discriminator.zero_grad(set_to_none=True)
        (self.loss(real, 1.0) + self.loss(fake.detach(), 0.0)).backward()
        for_discriminator.step()
        for_generator.zero_grad(set_to_none=True)
        self.discriminator.requires_grad_(False)  # nobody needs these gradients here
        loss = self.loss(fake, 1.0)
        loss.backward()
        self.discriminator.requires_grad_(True)
        for_generator.step()
        return loss.detach()


def follow(peer: TorchPeer) -> None:
    """What another rank does: the same requests as the first one."""
    while True:
        request = [None]
        dist.broadcast_object_list(request, 0)
        if request[0] is None:
            return
        name, steps = request[0]
        getattr(peer, name)(steps)


class LeadingPeer:
    """The first of several ranks; tells the others."""

    def __init__(self, peer: TorchPeer) -> None:
        self.peer = peer
        self.versions = peer.versions

    def losses(self, steps: int) -> list[float]:
        dist.broadcast_object_list([("losses", steps)], 0)
        return self.peer.losses(steps)

    def run(self, steps: int) -> float:
        dist.broadcast_object_list([("run", steps)], 0)
        return self.peer.run(steps)


def main(setup: PeerSetup) -> None:
    """Rank 0 starts the others, each with a core of its own."""
    torch.set_num_threads(1)
    if setup.ranks == 1:
        is_gan = "models" in jobs.load(setup.job_path)
        serve((TorchGanPeer if is_gan else TorchPeer)(setup))
        return
    cores = sorted(os.sched_getaffinity(0))
    others = []
    if RANK == 0:
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "WORLD_SIZE": str(setup.ranks)}
        store = dist.TCPStore("127.0.0.1", 0, setup.ranks, is_master=True, wait_for_workers=False)
        for rank in range(1, setup.ranks):
            environment = os.environ | {"RANK": str(rank), "PEER_PORT": str(store.port)}
            others.append(
                subprocess.Popen(
                    [sys.executable, __file__, json.dumps(asdict(setup))], env=environment
                )
            )
    else:
        store = dist.TCPStore("127.0.0.1", int(os.environ["PEER_PORT"]), setup.ranks)
    if len(cores) >= setup.ranks:
        os.sched_setaffinity(0, {cores[RANK]})
    dist.init_process_group("gloo", store=store, rank=RANK, world_size=setup.ranks)
    peer = TorchPeer(setup)
    if RANK > 0:
        follow(peer)
        return
    serve(LeadingPeer(peer))
    dist.broadcast_object_list([None], 0)
    for other in others:
        other.wait()


if __name__ == "__main__":
    main(PeerSetup.from_argv())
