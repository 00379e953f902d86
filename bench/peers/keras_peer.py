"""Keras 3 on TensorFlow or JAX (KERAS_BACKEND), one rank: fit, as users train.

Variants: "jit" (jit_compile=True), else Keras decides.
"""

import importlib.metadata
import time
from dataclasses import asdict

import keras
import numpy as np

import job as jobs
from served import PeerSetup, serve

KERAS_LAYERS = {
    name.lower(): entry for name, entry in vars(keras.layers).items() if isinstance(entry, type)
}


def build(graph: jobs.ModelGraph, weights: jobs.Weights) -> keras.Model:
    """The job's model with the given weights."""
    source = keras.Input(graph.input_shape, name=graph.input_name)
    tensors = {graph.input_name: source}
    for layer in graph.layers:
        options = {
            key: tuple(map(_tupled, value)) if isinstance(value, list) else value
            for key, value in layer.options.items()
            if not key.endswith("_initializer")
        }
        made = KERAS_LAYERS[layer.kind.replace("_", "")](name=layer.name, **options)
        inputs = [tensors[name] for name in layer.inputs]
        tensors[layer.name] = made(inputs if len(inputs) > 1 else inputs[0])
        made.set_weights(list(jobs.of_layer(weights, "", layer.name).values()))
    return keras.Model(source, tensors[graph.layers[-1].name])


def _tupled(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


class EpochClock(keras.callbacks.Callback):
    """From the beginning of fit's first epoch to the end of its last: without fit's own start."""

    begin = end = None

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.begin = time.perf_counter() if self.begin is None else self.begin

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self.end = time.perf_counter()


class KerasPeer:
    """The compiled model."""

    def __init__(self, setup: PeerSetup) -> None:
        job = jobs.load(setup.job_path)
        graph = jobs.graphs(job)[""].without_last_activation()
        self.batch = setup.batch
        self.x, self.y = jobs.samples(job, graph.input_shape, setup.batch * setup.BATCHES)
        self.model = build(graph, jobs.read_weights(setup.weights_path))
        self.model.compile(
            optimizer=keras.optimizers.Adam(**asdict(jobs.adam(job))),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            jit_compile=True if "jit" in setup.variant else "auto",
        )

    def losses(self, steps: int) -> list[float]:
        losses = []
        for k in range(steps):
            cut = slice(k * self.batch, (k + 1) * self.batch)
            self.model.reset_metrics()
            losses.append(float(np.asarray(self.model.train_on_batch(self.x[cut], self.y[cut]))))
        return losses

    def run(self, steps: int) -> float:
        in_epoch = min(steps, len(self.y) // self.batch)
        clock = EpochClock()
        self.model.fit(
            self.x[: in_epoch * self.batch],
            self.y[: in_epoch * self.batch],
            batch_size=self.batch,
            epochs=(epochs := max(1, round(steps / in_epoch))),
            shuffle=False,
            verbose=0,
            callbacks=[clock],
        )
        return (clock.end - clock.begin) / (epochs * in_epoch) * steps

    def versions(self) -> dict[str, str]:
        backend = keras.backend.backend()
        package = {"tensorflow": "tensorflow_cpu"}.get(backend, backend)
        return {"keras": keras.__version__, backend: importlib.metadata.version(package)}


if __name__ == "__main__":
    serve(KerasPeer(PeerSetup.from_argv()))
