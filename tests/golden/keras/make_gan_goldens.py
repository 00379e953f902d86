#!/usr/bin/env python3
"""Writes gan.json: the GAN of examples/fashion_mnist_gan.yaml in float64, trained by Keras.

Weights and noise are those of the job's seed by ../numerics.py; data: the first 30 batches of 128
images of Fashion-MNIST, unshuffled, from -1 to 1. The discriminator trains on a batch of real and
made images together, the generator through a frozen copy of it: how Keras' examples do it. The last
layer gives logits and the loss takes them. See keras_truth.py.
"""

import numpy as np
from keras_truth import Arrays, exactly, gradients_of, main, summary, train_on_batches
from make_cnn_goldens import idx

SEED, BATCH, STEPS, NOISE = 7, 128, 30, 100
# In weight order, models by name; the index is the initialisers' variable. Biases are zeros.
SHAPES = {
    "discriminator": [(784, 512), (512, 256), (256, 1)],
    "generator": [(NOISE, 256), (256, 512), (512, 784)],
}


def paths(model: str) -> list[str]:
    """Of a model's variables."""
    layers = [model + "." + layer for layer in ("dense", "dense_1", "dense_2")]
    return [f"{layer}.{variable}" for layer in layers for variable in ("kernel", "bias")]


def initial_values(model: str) -> list[np.ndarray]:
    """By the definition of docs/NUMERICS.md section 4."""
    import numerics

    first = 2 * list(SHAPES).index(model) * len(SHAPES[model])
    values = []
    for layer, shape in enumerate(SHAPES[model]):
        kernel = numerics.initialize("glorot_uniform", shape, SEED, first + 2 * layer)
        values += [np.array(kernel).reshape(shape), np.zeros(shape[-1])]
    return values


def images() -> list[np.ndarray]:
    """The first batches of the training set."""
    pixels = idx("train-images-idx3-ubyte.gz", 16).reshape(-1, 784)
    return [pixels[k * BATCH : (k + 1) * BATCH] * (np.float64(2) / 255) - 1 for k in range(STEPS)]


def noise() -> list[np.ndarray]:
    """Of every step; the noise is the first call of a step."""
    from tiny_gan import noise_of

    return [
        np.array([noise_of("normal", SEED, step, 0, p, NOISE) for p in range(BATCH)])
        for step in range(STEPS)
    ]


def make_models():
    """The generator, the discriminator, and the generator before a frozen copy of the latter."""
    from keras import Sequential, layers

    def stack(sizes: list[tuple[int, int]], last: str | None):
        return Sequential(
            [
                layers.Input((sizes[0][0],)),
                layers.Dense(sizes[0][1], activation="relu"),
                layers.Dense(sizes[1][1], activation="relu"),
                layers.Dense(sizes[2][1], activation=last),
            ]
        )

    generator = stack(SHAPES["generator"], "tanh")
    discriminator = stack(SHAPES["discriminator"], None)
    frozen = stack(SHAPES["discriminator"], None)
    frozen.trainable = False
    return generator, discriminator, frozen, Sequential([generator, frozen])


def compute() -> Arrays:
    """Forward and gradients of the first batch with all models as they start; 30 steps of Adam."""
    import keras

    generator, discriminator, frozen, combined = make_models()
    real, z = images(), noise()

    def compile_model(model) -> None:
        adam = keras.optimizers.Adam(*map(exactly, (0.0002, 0.5, 0.999, 1e-7)))
        model.compile(optimizer=adam, loss=keras.losses.BinaryCrossentropy(from_logits=True))

    def compile_for(model):
        def compiled(optimizer: keras.optimizers.Optimizer) -> None:
            loss = keras.losses.BinaryCrossentropy(from_logits=True)
            model.compile(optimizer=optimizer, loss=loss)

        return compiled

    def judged(step: int) -> dict:
        made = np.asarray(generator(z[step]))
        labels = np.concatenate([np.ones((BATCH, 1)), np.zeros((BATCH, 1))])
        return {"x": np.concatenate([real[step], made]), "y": labels}

    def fooled(step: int) -> dict:
        return {"x": z[step], "y": np.ones((BATCH, 1))}

    generator.set_weights(initial_values("generator"))
    discriminator.set_weights(initial_values("discriminator"))
    frozen.set_weights(initial_values("discriminator"))
    arrays = summary("made", np.asarray(generator(z[0])))
    arrays |= {"judged": np.asarray(discriminator(real[0]))}
    of_discriminator = gradients_of(discriminator, compile_for(discriminator), judged(0))
    of_generator = gradients_of(combined, compile_for(combined), fooled(0))[:6]
    for path, gradient in zip(
        paths("discriminator") + paths("generator"), of_discriminator + of_generator
    ):
        arrays |= summary(f"gradients/{path}", gradient)

    compile_model(discriminator)
    compile_model(combined)
    losses: dict[str, list[float]] = {"d_losses": [], "g_losses": []}
    for step in range(STEPS):
        losses["d_losses"] += list(train_on_batches(discriminator, [judged(step)]))
        frozen.set_weights(discriminator.get_weights())
        losses["g_losses"] += list(train_on_batches(combined, [fooled(step)]))
    # Lockstep shows means over the epoch so far.
    for name, values in losses.items():
        arrays[f"adam/{name}"] = np.cumsum(values) / np.arange(1, STEPS + 1)
    for model, name in ((discriminator, "discriminator"), (generator, "generator")):
        for path, value in zip(paths(name), model.get_weights()):
            arrays |= summary(f"adam/{path}", value)
    return arrays


if __name__ == "__main__":
    main(compute, __file__)
