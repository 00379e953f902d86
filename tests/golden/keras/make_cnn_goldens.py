#!/usr/bin/env python3
"""Writes cnn.json: the CNN of examples/fashion_mnist_cnn.yaml in float64, trained by Keras.

Weights are those of the job's seed by ../numerics.py; data: the first 30 batches of 32 images of
Fashion-MNIST, unshuffled, times 1 / 255. The last layer gives logits and the loss takes them, as
Keras on TensorFlow does behind a softmax. See keras_truth.py.
"""

import gzip
from pathlib import Path

import numpy as np
from keras_truth import Arrays, exactly, gradients_of, main, summary, train_on_batches

SEED, BATCH, STEPS = 7, 32, 30
DATA = Path("/usr/share/datasets/fashion-mnist")
# Path, shape and initialiser in weight order; the index is the initialisers' variable.
VARIABLES = [
    ("conv2d.kernel", (3, 3, 1, 32), "glorot_uniform"),
    ("conv2d.bias", (32,), "zeros"),
    ("dense.kernel", (5408, 128), "glorot_uniform"),
    ("dense.bias", (128,), "zeros"),
    ("dense_1.kernel", (128, 10), "glorot_uniform"),
    ("dense_1.bias", (10,), "zeros"),
]
CLASS_WEIGHT = {0: 2.0, 3: 0.25, 9: 1.5}


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
    images = idx("train-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28, 1)
    labels = idx("train-labels-idx1-ubyte.gz", 8)
    cuts = [slice(k * BATCH, (k + 1) * BATCH) for k in range(STEPS)]
    return [{"x": images[c] / np.float64(255), "y": labels[c].astype("int64")} for c in cuts]


def make_model():
    """Conv2D, MaxPooling2D, Flatten, Dense, Dense."""
    from keras import Sequential, layers

    return Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10),
        ]
    )


def compute() -> Arrays:
    """Forward and gradients of the first batch; 30 steps each of Adam and SGD."""
    import keras

    model, data, start = make_model(), batches(), initial_values()

    def compile_model(optimizer: keras.optimizers.Optimizer) -> None:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])

    model.set_weights(start)
    arrays = {"logits": np.asarray(model(data[0]["x"]))}
    for name, batch in (
        ("gradients", data[0]),
        ("class_weighted", data[0] | {"class_weight": CLASS_WEIGHT}),
    ):
        for (path, _, _), gradient in zip(VARIABLES, gradients_of(model, compile_model, batch)):
            arrays |= summary(f"{name}/{path}", gradient)
    for name, optimizer in (
        ("adam", keras.optimizers.Adam(*map(exactly, (0.001, 0.9, 0.999, 1e-7)))),
        ("sgd", keras.optimizers.SGD(exactly(0.01), momentum=exactly(0.9))),
    ):
        model.set_weights(start)
        compile_model(optimizer)
        arrays[f"{name}/losses"] = train_on_batches(model, data)
        for (path, _, _), value in zip(VARIABLES, model.get_weights()):
            arrays |= summary(f"{name}/{path}", value)
        model.set_weights(start)
        compile_model(type(optimizer).from_config(optimizer.get_config()))
        x, y = (np.concatenate([batch[key] for batch in data]) for key in ("x", "y"))
        history = model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0).history
        arrays |= {f"{name}/epoch_{key}": np.array(values) for key, values in history.items()}
    return arrays


if __name__ == "__main__":
    main(compute, __file__)
