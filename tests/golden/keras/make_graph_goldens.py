#!/usr/bin/env python3
"""Writes graph.json: a small graph of many layers in float64, trained by Keras' fit.

Two inputs, three outputs, a shared layer, batch normalization, branches that are added and joined,
padding with strides and dilation, all kinds of pooling, ties in max pooling, sample and loss
weights, a smaller last batch, validation. graph.yaml is the same model as a job. Data and weights
come from Philox (../numerics.py). The losses are Keras' own, on softmax and sigmoid: TensorFlow
takes the logits behind them, JAX the probabilities; no probability is near a border, so they agree.
The losses per output in an epoch's history are JAX's: on TensorFlow Keras does not see the size of
the smaller last batch and gives it the weight of the others, against its own total loss.
"""

import math

import numpy as np
from keras_truth import Arrays, exactly, gradients_of, main, summary

SEED, TRAIN, VALIDATION, BATCH, EPOCHS = 11, 40, 24, 16, 4
LOSS_WEIGHTS = {"classes": 0.7, "flags": 1.3, "sign": 0.5}
ENTROPY = "binary_crossentropy"
# Path, shape, initialiser and options in the job's order; the index is the variable's.
VARIABLES = [
    ("tied/kernel", (1, 1, 2, 2), "ones", {}),
    ("strided/kernel", (3, 3, 2, 4), "glorot_uniform", {}),
    ("strided/bias", (4,), "zeros", {}),
    ("norm/gamma", (4,), "random_uniform", {"minval": 0.5, "maxval": 1.5}),
    ("norm/beta", (4,), "random_uniform", {}),
    ("norm/moving_mean", (4,), "zeros", {}),
    ("norm/moving_variance", (4,), "ones", {}),
    ("dilated/kernel", (2, 2, 4, 4), "glorot_uniform", {}),
    ("dilated/bias", (4,), "zeros", {}),
    ("wide/kernel", (5, 16), "glorot_uniform", {}),
    ("wide/bias", (16,), "zeros", {}),
    ("shared/kernel", (16, 6), "glorot_uniform", {}),
    ("shared/bias", (6,), "zeros", {}),
    ("rows/kernel", (6, 4), "glorot_uniform", {}),
    ("rows/bias", (4,), "zeros", {}),
    ("classes/kernel", (12, 3), "glorot_uniform", {}),
    ("classes/bias", (3,), "zeros", {}),
    ("flags/kernel", (12, 2), "glorot_uniform", {}),
    ("flags/bias", (2,), "zeros", {}),
    ("sign/kernel", (12, 1), "glorot_uniform", {}),
    ("sign/bias", (1,), "zeros", {}),
]


def set_initial_values(model) -> None:
    """Those of the job's seed."""
    import numerics

    by_path = {variable.path: variable for variable in model.variables}
    for index, (path, shape, name, options) in enumerate(VARIABLES):
        values = numerics.initialize(name, shape, SEED, index, **options)
        by_path[path].assign(np.array(values).reshape(shape))


def drawn(count: int, seed: int, stream: int) -> np.ndarray:
    """Words of Philox: counter (i, seed, stream, 0), key 99."""
    import numerics

    return np.array([numerics.philox((i, seed, stream, 0), 99)[0] for i in range(count)])


def uniform(count: int, seed: int) -> np.ndarray:
    """[-1, 1)."""
    return (drawn(count, seed, 0) >> 8) * 2.0**-23 - 1


def samples(count: int, seed: int, tied: bool) -> dict:
    """Images, vectors, targets, weights. Tied: pixels 0, 1, 2, whose sums are equal in pooling."""
    size = count * 8 * 7 * 2
    pixels = drawn(size, seed, 1) % 3 if tied else uniform(size, seed + 5)
    labels = drawn(count, seed + 1, 1) % 3
    return {
        "x": {
            "image": pixels.reshape(count, 8, 7, 2).astype("float64"),
            "vector": uniform(count * 5, seed).reshape(count, 5),
        },
        "y": {
            "classes": np.eye(3)[labels],
            "flags": (drawn(count * 2, seed + 2, 1) % 2).reshape(count, 2).astype("float64"),
            "sign": (drawn(count, seed + 6, 1) % 2).reshape(count, 1).astype("float64"),
        },
        "sample_weight": uniform(count, seed + 3) * 0.75 + 1,
    }


def make_model():
    """graph.yaml in Keras' words, and the model up to its `features`."""
    from keras import Input, Model, layers

    image, vector = Input((8, 7, 2), name="image"), Input((5,), name="vector")
    ones = {"kernel_initializer": "ones", "use_bias": False}
    tied = layers.MaxPooling2D()(layers.Conv2D(2, 1, name="tied", **ones)(image))
    strided = layers.Conv2D(4, 3, 2, "same", activation="relu", name="strided")(image)
    norm = layers.BatchNormalization(momentum=0.75, name="norm")(strided)
    dilated = layers.Conv2D(
        4, 2, padding="same", dilation_rate=2, activation="tanh", name="dilated"
    )(norm)
    average = layers.AveragePooling2D(3, 2, "same")(layers.Add()([norm, dilated]))
    wide = layers.Dense(16, "tanh", name="wide")(vector)
    shared = layers.Dense(6, "sigmoid", name="shared")
    means = [layers.GlobalAveragePooling2D()(x) for x in (dilated, tied)]
    joined = layers.Concatenate()([shared(layers.Flatten()(average)), shared(wide), *means])
    rows = layers.Dense(4, "tanh", name="rows")(layers.Reshape((3, 6))(joined))
    features = layers.Flatten()(rows)
    outputs = {
        "classes": layers.Dense(3, "softmax", name="classes")(features),
        "flags": layers.Dense(2, "sigmoid", name="flags")(features),
        "sign": layers.Dense(1, "sigmoid", name="sign")(features),
    }
    return Model([image, vector], outputs), Model([image, vector], features)


def first_batch(data: dict) -> dict:
    """Its first samples."""
    return {
        key: {name: array[:BATCH] for name, array in value.items()}
        if isinstance(value, dict)
        else value[:BATCH]
        for key, value in data.items()
    }


def logits(model, body, x: dict) -> Arrays:
    """The outputs of a training pass before their activations."""
    features = np.asarray(body(x, training=True))
    values = {variable.path: variable.numpy() for variable in model.variables}
    return {
        f"logits/{name}": features @ values[f"{name}/kernel"] + values[f"{name}/bias"]
        for name in LOSS_WEIGHTS
    }


def run(first_loss: str, optimizer, tied: bool) -> Arrays:
    """Forward and gradients of the first batch, EPOCHS of fit: history and final variables."""
    model, body = make_model()
    data, validation = samples(TRAIN, 100, tied), samples(VALIDATION, 200, tied)
    losses = {"classes": first_loss, "flags": ENTROPY, "sign": ENTROPY}
    names = list(losses) if first_loss.endswith("entropy") else ["flags", "sign"]

    def compile_model(chosen) -> None:
        model.compile(
            optimizer=chosen,
            loss=losses,
            loss_weights=LOSS_WEIGHTS,
            metrics={name: ["accuracy"] for name in names},
        )

    set_initial_values(model)
    arrays = logits(model, body, first_batch(data)["x"])
    smallest = min(math.exp(-2 * np.abs(array).max()) for array in arrays.values())
    assert smallest > 1e-6, "a probability near the border where JAX clips it"
    set_initial_values(model)
    gradients = gradients_of(model, compile_model, first_batch(data))
    for variable, gradient in zip(model.variables, gradients):
        if variable.trainable:
            arrays |= summary(f"gradients/{variable.path.replace('/', '.')}", gradient)
    set_initial_values(model)
    compile_model(optimizer)
    history = model.fit(
        **data,
        batch_size=BATCH,
        epochs=EPOCHS,
        shuffle=False,
        verbose=0,
        validation_data=(validation["x"], validation["y"]),
    ).history
    arrays |= {f"history/{name}": np.array(values) for name, values in history.items()}
    for variable in model.variables:
        arrays |= summary(f"final/{variable.path.replace('/', '.')}", np.array(variable.numpy()))
    return arrays


def accuracies() -> Arrays:
    """What the word means for one value and for two, for probabilities and for logits."""
    from keras import Sequential, layers, losses

    arrays: Arrays = {}
    x = np.array([[0.2], [0.4], [0.7], [-1.0], [3.0]])
    targets = np.array([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    for units in (1, 2):
        for from_logits in (False, True):
            dense = layers.Dense(units, None if from_logits else "sigmoid", name="y")
            model = Sequential([layers.Input((1,)), dense])
            dense.set_weights([np.array([[1.0, -0.5]])[:, :units], np.zeros(units)])
            model.compile("sgd", losses.BinaryCrossentropy(from_logits), metrics=["accuracy"])
            result = model.evaluate(x, targets[:, :units], verbose=0, return_dict=True)
            name = f"accuracy/{'logits' if from_logits else 'sigmoid'}_{units}"
            arrays[name] = np.array([result["accuracy"]])
    return arrays


def compute() -> Arrays:
    """Two ways to train, and accuracy."""
    import keras

    adam = keras.optimizers.Adam(*map(exactly, (0.01, 0.9, 0.999, 1e-7)))
    sgd = keras.optimizers.SGD(exactly(0.1), momentum=exactly(0.9), nesterov=True)
    arrays = accuracies()
    for name, part in (
        ("entropy", run("categorical_crossentropy", adam, tied=False)),
        ("squares", run("mean_squared_error", sgd, tied=True)),
    ):
        arrays |= {f"{name}/{path}": array for path, array in part.items()}
    return arrays


if __name__ == "__main__":
    main(compute, __file__, of_jax_alone=tuple(f"{name}_loss" for name in LOSS_WEIGHTS))
