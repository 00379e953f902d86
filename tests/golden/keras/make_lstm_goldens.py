#!/usr/bin/env python3
"""Writes lstm.json: the LSTM of examples/fashion_mnist_lstm.yaml in float64, trained by Keras.

Weights are those of the job's seed by ../numerics.py; data: the first 30 batches of 32 images of
Fashion-MNIST, unshuffled, times 1 / 255, row by row. The last layer gives logits and the loss takes
them, as Keras on TensorFlow does behind a softmax. See keras_truth.py.
"""

import gzip
from pathlib import Path

import numpy as np
from keras_truth import Arrays, exactly, gradients_of, main, summary, train_on_batches

SEED, BATCH, STEPS = 7, 32, 30
DATA = Path("/usr/share/datasets/fashion-mnist")
# Path, shape and initialiser in weight order; the index is the initialisers' variable.
VARIABLES = [
    ("lstm.lstm_cell.kernel", (28, 200), "glorot_uniform"),
    ("lstm.lstm_cell.recurrent_kernel", (50, 200), "orthogonal"),
    ("lstm.lstm_cell.bias", (200,), "unit_forget_bias"),
    ("lstm_1.lstm_cell.kernel", (50, 200), "glorot_uniform"),
    ("lstm_1.lstm_cell.recurrent_kernel", (50, 200), "orthogonal"),
    ("lstm_1.lstm_cell.bias", (200,), "unit_forget_bias"),
    ("dense.kernel", (50, 10), "glorot_uniform"),
    ("dense.bias", (10,), "zeros"),
]


def initial_values() -> list[np.ndarray]:
    """By the definition of docs/NUMERICS.md section 4."""
    import numerics

    return [
        np.array(numerics.initialize(name, shape, SEED, index)).reshape(shape)
        for index, (_, shape, name) in enumerate(VARIABLES)
    ]


def idx(name: str, header: int) -> np.ndarray:
    """The bytes of an IDX file behind its header."""
    with gzip.open(DATA / name) as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)


def batches() -> list[dict]:
    """The first batches of the training set."""
    images = idx("train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
    labels = idx("train-labels-idx1-ubyte.gz", 8)
    cuts = [slice(k * BATCH, (k + 1) * BATCH) for k in range(STEPS)]
    return [{"x": images[c] / np.float64(255), "y": labels[c].astype("int64")} for c in cuts]


def make_model(go_backwards: bool):
    """LSTM, LSTM, Dense."""
    from keras import Sequential, layers

    return Sequential(
        [
            layers.Input((28, 28)),
            layers.LSTM(50, return_sequences=True, go_backwards=go_backwards),
            layers.LSTM(50),
            layers.Dense(10),
        ]
    )


def compute() -> Arrays:
    """Forward and gradients of the first batch, from both ends; 30 steps of Adam and SGD."""
    import keras

    model, data, start = make_model(False), batches(), initial_values()
    for weight, (path, _, _) in zip(model.weights, VARIABLES):
        assert weight.path.split("/", 1)[1] == path.replace(".", "/")

    def compile_model(optimizer: keras.optimizers.Optimizer) -> None:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer=optimizer, loss=loss)

    arrays = {}
    for name, backwards in (("backwards", True), ("forwards", False)):
        model = make_model(backwards)
        model.set_weights(start)
        arrays[f"{name}/logits"] = np.asarray(model(data[0]["x"]))
        for (path, _, _), gradient in zip(VARIABLES, gradients_of(model, compile_model, data[0])):
            arrays |= summary(f"{name}/{path}", gradient)
    for name, optimizer in (
        ("adam", keras.optimizers.Adam(*map(exactly, (0.001, 0.9, 0.999, 1e-7)))),
        ("sgd", keras.optimizers.SGD(exactly(0.1), momentum=exactly(0.9))),
    ):
        model.set_weights(start)
        compile_model(optimizer)
        arrays[f"{name}/losses"] = train_on_batches(model, data)
        for (path, _, _), value in zip(VARIABLES, model.get_weights()):
            arrays |= summary(f"{name}/{path}", value)
    return arrays


if __name__ == "__main__":
    main(compute, __file__)
