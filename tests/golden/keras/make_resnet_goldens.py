#!/usr/bin/env python3
"""Writes resnet.json: a small residual network in float64, trained by Keras.

All parts of examples/fashion_mnist_resnet20.yaml: zero padding, the image joined to itself,
convolutions without bias before batch normalization, relu behind a sum, a strided 1 x 1 shortcut,
the mean of each channel. resnet.yaml is the same model as a job. Data and weights come from Philox
(../numerics.py). The last layer gives logits and the loss takes them. See keras_truth.py.
"""

import numpy as np
from keras_truth import Arrays, exactly, gradients_of, main, summary, train_on_batches
from make_graph_goldens import drawn, uniform

SEED, BATCH, STEPS = 13, 16, 30


def convolution(name: str, *shape: int) -> tuple:
    """A kernel of the job's variables."""
    return f"{name}/kernel", shape, "he_normal"


def normalization(name: str, channels: int) -> list[tuple]:
    """Variables of a batch normalization in Keras' weight order."""
    starts = {"gamma": "ones", "beta": "zeros", "moving_mean": "zeros", "moving_variance": "ones"}
    return [(f"{name}/{variable}", (channels,), start) for variable, start in starts.items()]


# Path, shape and initialiser in the job's order; the index is the variable's.
VARIABLES = [
    convolution("stem_conv", 3, 3, 3, 4),
    *normalization("stem_norm", 4),
    convolution("a_conv", 3, 3, 4, 4),
    *normalization("a_norm", 4),
    convolution("a_conv_2", 3, 3, 4, 4),
    *normalization("a_norm_2", 4),
    convolution("b_conv", 3, 3, 4, 8),
    *normalization("b_norm", 8),
    convolution("b_conv_2", 3, 3, 8, 8),
    *normalization("b_norm_2", 8),
    convolution("b_shortcut", 1, 1, 4, 8),
    ("b_shortcut/bias", (8,), "zeros"),
    convolution("classes", 8, 3),
    ("classes/bias", (3,), "zeros"),
]


def set_initial_values(model) -> None:
    """Those of the job's seed."""
    import numerics

    by_path = {variable.path: variable for variable in model.variables}
    for index, (path, shape, name) in enumerate(VARIABLES):
        values = numerics.initialize(name, shape, SEED, index)
        by_path[path].assign(np.array(values).reshape(shape))


def make_model():
    """resnet.yaml in Keras' words."""
    from keras import Input, Model, layers

    def conv(name: str, filters: int, strides: int = 1):
        return layers.Conv2D(filters, 3, strides, "same", use_bias=False, name=name)

    image = Input((5, 7, 1))
    grey = layers.ZeroPadding2D(((1, 2), (0, 1)))(image)
    x = conv("stem_conv", 4)(layers.Concatenate()([grey, grey, grey]))
    x = layers.ReLU()(layers.BatchNormalization(name="stem_norm")(x))
    y = layers.ReLU()(layers.BatchNormalization(name="a_norm")(conv("a_conv", 4)(x)))
    y = layers.BatchNormalization(name="a_norm_2")(conv("a_conv_2", 4)(y))
    x = layers.ReLU()(layers.Add()([x, y]))
    y = layers.ReLU()(layers.BatchNormalization(name="b_norm")(conv("b_conv", 8, 2)(x)))
    y = layers.BatchNormalization(name="b_norm_2")(conv("b_conv_2", 8)(y))
    x = layers.Conv2D(8, 1, 2, name="b_shortcut")(x)
    x = layers.ReLU()(layers.Add()([x, y]))
    return Model(image, layers.Dense(3, name="classes")(layers.GlobalAveragePooling2D()(x)))


def compute() -> Arrays:
    """Outputs and gradients of the first batch; 30 steps each of Adam and SGD."""
    import keras

    count = BATCH * STEPS
    x, y = uniform(count * 35, 300).reshape(count, 5, 7, 1), drawn(count, 301, 1) % 3
    cuts = [slice(k * BATCH, (k + 1) * BATCH) for k in range(STEPS)]
    data = [{"x": x[cut], "y": y[cut]} for cut in cuts]
    model = make_model()

    def compile_model(optimizer: keras.optimizers.Optimizer) -> None:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer=optimizer, loss=loss)

    set_initial_values(model)
    arrays = {"logits": np.asarray(model(data[0]["x"], training=True))}
    set_initial_values(model)
    for variable, gradient in zip(model.variables, gradients_of(model, compile_model, data[0])):
        if variable.trainable:
            arrays |= summary(f"gradients/{variable.path.replace('/', '.')}", gradient)
    for name, optimizer in (
        ("adam", keras.optimizers.Adam(*map(exactly, (0.001, 0.9, 0.999, 1e-7)))),
        ("sgd", keras.optimizers.SGD(exactly(0.01), momentum=exactly(0.9))),
    ):
        set_initial_values(model)
        compile_model(optimizer)
        arrays[f"{name}/losses"] = train_on_batches(model, data)
        for variable in model.variables:
            path = variable.path.replace("/", ".")
            arrays |= summary(f"{name}/{path}", np.array(variable.numpy()))
    return arrays


if __name__ == "__main__":
    main(compute, __file__)
