"""A whole job by docs/NUMERICS.md: shuffle, shards, decoding, layers, loss, Adam, the hash."""

from dataclasses import dataclass, field

from layers import (
    Adam,
    BatchNorm,
    Window,
    conv2d,
    conv2d_weights,
    dense,
    dense_backward_data,
    dense_weights,
    dropout,
    loss_seed,
    max_pool,
    max_pool_backward,
    model_sha256,
    moving,
    relu,
    relu_backward,
    reported,
    sparse_logits,
)
from numerics import (
    add,
    f32,
    fma,
    in_shards,
    initialize,
    permutation,
    philox,
    shard_counts,
    shard_positions,
)

JOB = """\
name: tiny
model:
  input_shape: [4, 4, 1]
  layers:
    - conv2d: {filters: 3, kernel_size: 3, padding: same, activation: relu}
    - batch_normalization
    - max_pooling2d
    - dropout: {rate: 0.25}
    - flatten
    - dense: {units: 3, activation: softmax}
data:
  train: {format: idx, inputs: images, targets: labels}
  preprocess: {scale: 0.00392156862745098, offset: -0.5}
train: {batch_size: 5, epochs: 2, shards: 4, seed: 7, class_weight: {0: 1.5}}
loss: sparse_categorical_crossentropy
optimizer: {adam: {learning_rate: 0.01}}
"""
SAMPLES, BATCH, SHARDS, EPOCHS, SEED = 12, 5, 4, 2, 7
CLASS_WEIGHT = {0: 1.5}
CONV = Window(size=(4, 4), kernel=(3, 3), out=(4, 4), pad=(1, 1))
POOL = Window(size=(4, 4), kernel=(2, 2), out=(2, 2), stride=(2, 2))
DROPOUT_CALL = 3  # conv2d 0, batch_normalization 1, max_pooling2d 2
# Path, shape and initialiser in Keras' weight order; the index is the initialisers' variable.
VARIABLES = [
    ("conv2d/kernel", (3, 3, 1, 3), "glorot_uniform"),
    ("conv2d/bias", (3,), "zeros"),
    ("batch_normalization/gamma", (3,), "ones"),
    ("batch_normalization/beta", (3,), "zeros"),
    ("batch_normalization/moving_mean", (3,), "zeros"),
    ("batch_normalization/moving_variance", (3,), "ones"),
    ("dense/kernel", (12, 3), "glorot_uniform"),
    ("dense/bias", (3,), "zeros"),
]


def images() -> list[list[int]]:
    """Sixteen bytes of every sample."""
    return [[philox((n, e, 0, 0), 5)[0] % 256 for e in range(16)] for n in range(SAMPLES)]


def labels() -> list[int]:
    """One label of three for every sample."""
    return [philox((n, 0, 1, 0), 5)[0] % 3 for n in range(SAMPLES)]


def nest(values: list[float], shape: tuple[int, ...]) -> list:
    """Row-major values as nested lists."""
    if len(shape) == 1:
        return list(values)
    size = len(values) // shape[0]
    return [nest(values[k * size : (k + 1) * size], shape[1:]) for k in range(shape[0])]


def flat(nested: object) -> list:
    """The leaves of nested lists, row-major."""
    if not isinstance(nested, list):
        return [nested]
    return [leaf for part in nested for leaf in flat(part)]


def decode(pixels: list[int]) -> list:
    """float(x) * scale + offset as one fma; an image of one channel."""
    scale = f32(0.00392156862745098)
    return nest([fma(float(pixel), scale, -0.5) for pixel in pixels], (4, 4, 1))


@dataclass
class TinyJob:
    """The values of the variables, the optimizer's state and the epochs' losses."""

    values: list[list[float]] = field(
        default_factory=lambda: [
            initialize(name, shape, SEED, index) for index, (_, shape, name) in enumerate(VARIABLES)
        ]
    )
    state: dict[tuple[int, int], Adam] = field(default_factory=dict)
    step: int = 0
    losses: list[float] = field(default_factory=list)

    def run(self) -> None:
        """All epochs; losses: the mean of each."""
        pixels, classes = images(), labels()
        for epoch in range(EPOCHS):
            order = permutation(SEED, epoch, SAMPLES)
            total = 0.0
            for first in range(0, SAMPLES, BATCH):
                batch = order[first : first + BATCH]
                total += self.train([pixels[n] for n in batch], [classes[n] for n in batch])
            self.losses.append(total / SAMPLES)

    def train(self, pixels: list[list[int]], classes: list[int]) -> float:
        """One update; returns the reported sum of losses."""
        n = len(classes)
        counts = shard_counts(BATCH, SHARDS, n)
        positions = shard_positions(BATCH, SHARDS)
        kernel, bias = nest(self.values[0], (3, 3, 1, 3)), self.values[1]
        norm = BatchNorm(positions, 1e-3, self.values[2], self.values[3])
        x = [decode(image) for image in pixels]
        conv = [nest([relu(v) for v in flat(conv2d(a, kernel, bias, CONV))], (4, 4, 3)) for a in x]
        rows = in_shards([nest(flat(image), (16, 3)) for image in conv], counts)
        moments = [norm.moments(rows, c) for c in range(3)]
        mean = [f32(m[1]) for m in moments]
        variance = [f32(m[2] / m[0]) for m in moments]
        for c in range(3):
            self.values[4][c] = moving(self.values[4][c], mean[c], 0.99)
            self.values[5][c] = moving(self.values[5][c], variance[c], 0.99)
        hats = [
            [norm.normalized(v, mean[e % 3], variance[e % 3]) for e, v in enumerate(flat(image))]
            for image in conv
        ]
        y = [nest([norm.output(v, e % 3) for e, v in enumerate(h)], (4, 4, 3)) for h in hats]
        dropped = [
            dropout(flat(max_pool(image, POOL)), 0.25, SEED, self.step, DROPOUT_CALL, position)
            for position, image in enumerate(y)
        ]
        weights = nest(self.values[6], (12, 3))
        logits = dense(dropped, weights, self.values[7])

        w = [f32(CLASS_WEIGHT.get(label, 1.0)) for label in classes]
        results = [
            sparse_logits(row, label, loss_seed(weight, 1.0, n))
            for row, label, weight in zip(logits, classes, w)
        ]
        d_logits = [result[1] for result in results]
        d_w, d_b = dense_weights([([[r] for r in dropped], [[r] for r in d_logits])], counts)
        d_dropped = dense_backward_data(d_logits, weights)
        d_pool = [
            nest(dropout(row, 0.25, SEED, self.step, DROPOUT_CALL, position), (2, 2, 3))
            for position, row in enumerate(d_dropped)
        ]
        d_y = [flat(max_pool_backward(a, d, POOL)) for a, d in zip(y, d_pool)]
        d_rows = in_shards([nest(row, (16, 3)) for row in d_y], counts)
        sums = [norm.sums(rows, d_rows, c, mean[c], variance[c]) for c in range(3)]
        d_conv = [
            nest(
                [
                    relu_backward(
                        out, norm.backward(h, d, e % 3, variance[e % 3], sums[e % 3], 16.0 * n)
                    )
                    for e, (out, h, d) in enumerate(zip(flat(image), hat, row))
                ],
                (4, 4, 3),
            )
            for image, hat, row in zip(conv, hats, d_y)
        ]
        in_shard = in_shards(list(range(n)), counts)
        d_kernel, d_bias = conv2d_weights([(x, d_conv)], in_shard, positions, CONV)
        d_gamma, d_beta = [add(s[1], 0.0) for s in sums], [add(s[0], 0.0) for s in sums]
        self.step += 1
        gradients = {0: d_kernel, 1: d_bias, 2: d_gamma, 3: d_beta, 6: d_w, 7: d_b}
        for variable, gradient in gradients.items():
            self.update(variable, flat(gradient))
        losses = [result[0] * weight for result, weight in zip(results, w)]
        return reported(in_shards(losses, counts))

    def update(self, variable: int, gradient: list[float]) -> None:
        """Adam on one variable."""
        values = self.values[variable]
        for e, g in enumerate(gradient):
            adam = self.state.setdefault((variable, e), Adam(learning_rate=0.01))
            values[e] = adam.update(values[e], g, self.step)

    def sha256(self) -> str:
        """The hash of the values of now."""
        return model_sha256(
            [(path, shape, v) for (path, shape, _), v in zip(VARIABLES, self.values)]
        )
