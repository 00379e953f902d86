"""A whole GAN by docs/NUMERICS.md, section 9: noise, both phases, two optimizers, the hash."""

from dataclasses import dataclass, field

from layers import (
    Adam,
    Matrix,
    binary_logits,
    dense,
    dense_backward_data,
    dense_weights,
    dropout,
    loss_seed,
    model_sha256,
    relu,
    relu_backward,
    reported,
    tanh_backward,
)
from numerics import (
    add,
    f32,
    fixed_noise_word,
    fma,
    in_shards,
    initialize,
    mul,
    noise_word,
    normal,
    permutation,
    philox,
    shard_counts,
    tanh,
    uniform_in,
)
from tiny_job import flat, nest

JOB = """\
name: tiny-gan
program: {gan: {noise: uniform}}
models:
  generator:
    inputs: {z: [6]}
    layers:
      - dense: {units: 5, activation: relu}
      - dense: {units: 4, activation: tanh}
  discriminator:
    inputs: {image: [4]}
    layers:
      - dense: {units: 7, activation: relu}
      - dropout: {rate: 0.25}
      - dense: {units: 1, activation: sigmoid}
data:
  train: {format: idx, inputs: images}
  preprocess: {scale: 0.00784313725490196, offset: -1}
train: {batch_size: 5, epochs: 2, shards: 4, seed: 9}
optimizers:
  generator: {adam: {learning_rate: 0.01, beta_1: 0.5}}
  discriminator: {adam: {learning_rate: 0.02, beta_1: 0.5}}
"""
SAMPLES, BATCH, SHARDS, EPOCHS, SEED = 12, 5, 4, 2, 9
NOISE_ELEMENTS, PIXELS = 6, 4
# The calls of a step: the noise 0; the generator's dense 1 and 2; the discriminator's dense,
# dropout, dense on real samples 3, 4, 5, on made ones 6, 7, 8 and, in the second phase, 9, 10, 11.
NOISE_CALL, DROPOUT_REAL, DROPOUT_MADE, DROPOUT_FOOLED = 0, 4, 7, 10
# Models by name; the index is the initialisers' variable.
VARIABLES = [
    ("discriminator/dense/kernel", (4, 7), "glorot_uniform"),
    ("discriminator/dense/bias", (7,), "zeros"),
    ("discriminator/dense_1/kernel", (7, 1), "glorot_uniform"),
    ("discriminator/dense_1/bias", (1,), "zeros"),
    ("generator/dense/kernel", (6, 5), "glorot_uniform"),
    ("generator/dense/bias", (5,), "zeros"),
    ("generator/dense_1/kernel", (5, 4), "glorot_uniform"),
    ("generator/dense_1/bias", (4,), "zeros"),
]
LEARNING_RATE = {"discriminator": 0.02, "generator": 0.01}


def gan_images() -> list[list[int]]:
    """Four bytes of every sample."""
    return [[philox((n, e, 0, 0), 6)[0] % 256 for e in range(PIXELS)] for n in range(SAMPLES)]


def noise(kind: str, words: list[int]) -> list[float]:
    """One sample's numbers."""
    return [f32(normal(w)) if kind == "normal" else uniform_in(w, -1.0, 1.0) for w in words]


def noise_of(kind: str, seed: int, step: int, call: int, position: int, count: int) -> list[float]:
    """Of a step."""
    return noise(kind, [noise_word(seed, step, call, position, e) for e in range(count)])


def fixed_noise_of(kind: str, seed: int, source: int, position: int, count: int) -> list[float]:
    """Of pictures and evaluations."""
    return noise(kind, [fixed_noise_word(seed, source, position, e) for e in range(count)])


@dataclass
class Pass:
    """What a pass of either model keeps for its gradients; hidden: before dropout, after it."""

    x: Matrix
    hidden: Matrix
    dropped: Matrix
    y: Matrix  # the discriminator's logits
    call: int = 0


@dataclass
class TinyGan:
    """The values of the variables, the optimizers' state and the epochs' losses."""

    values: list[list[float]] = field(
        default_factory=lambda: [
            initialize(name, shape, SEED, index) for index, (_, shape, name) in enumerate(VARIABLES)
        ]
    )
    state: dict[tuple[int, int], Adam] = field(default_factory=dict)
    step: int = 0
    losses: list[tuple[float, float]] = field(default_factory=list)  # d and g

    def run(self) -> None:
        """All epochs; losses: the mean of each."""
        scale = f32(0.00784313725490196)
        pixels = [[fma(float(p), scale, -1.0) for p in image] for image in gan_images()]
        for epoch in range(EPOCHS):
            order = permutation(SEED, epoch, SAMPLES)
            total_d = total_g = 0.0
            for first in range(0, SAMPLES, BATCH):
                d, g = self.train([pixels[n] for n in order[first : first + BATCH]])
                total_d += d
                total_g += g
            self.losses.append((total_d / SAMPLES, total_g / SAMPLES))

    def train(self, real: Matrix) -> tuple[float, float]:
        """Both updates of a step; returns the reported sums of losses."""
        n = len(real)
        counts = shard_counts(BATCH, SHARDS, n)
        z = [
            noise_of("uniform", SEED, self.step, NOISE_CALL, position, NOISE_ELEMENTS)
            for position in range(n)
        ]
        seed = loss_seed(1.0, 1.0, n)

        made = self.generate(z)
        of_real = self.judge(real, DROPOUT_REAL)
        of_made = self.judge(made.y, DROPOUT_MADE)
        half = mul(0.5, seed)
        on_real = [binary_logits(row, [1.0], half) for row in of_real.y]
        on_made = [binary_logits(row, [0.0], half) for row in of_made.y]
        loss_d = [mul(0.5, add(a[0], b[0])) for a, b in zip(on_real, on_made)]
        gradients = self.discriminator_gradients(
            [(of_real, [r[1] for r in on_real]), (of_made, [r[1] for r in on_made])], counts
        )
        self.update(0, gradients)

        fooled = self.judge(made.y, DROPOUT_FOOLED)
        on_fooled = [binary_logits(row, [1.0], seed) for row in fooled.y]
        d_hidden = self.d_hidden(fooled, [r[1] for r in on_fooled])
        d_made = dense_backward_data(d_hidden, self.matrix(0))
        self.update(4, self.generator_gradients(made, d_made, counts))
        self.step += 1
        loss_g = [r[0] for r in on_fooled]
        return reported(in_shards(loss_d, counts)), reported(in_shards(loss_g, counts))

    def matrix(self, index: int) -> Matrix:
        """A kernel."""
        return nest(self.values[index], VARIABLES[index][1])

    def generate(self, z: Matrix) -> Pass:
        """The generator's pass."""
        hidden = [[relu(v) for v in row] for row in dense(z, self.matrix(4), self.values[5])]
        y = [[tanh(v) for v in row] for row in dense(hidden, self.matrix(6), self.values[7])]
        return Pass(z, hidden, hidden, y)

    def drop(self, rows: Matrix, call: int) -> Matrix:
        """Forward and backward alike."""
        return [dropout(r, 0.25, SEED, self.step, call, p) for p, r in enumerate(rows)]

    def judge(self, x: Matrix, call: int) -> Pass:
        """The discriminator's pass; `call`: of its dropout."""
        hidden = [[relu(v) for v in row] for row in dense(x, self.matrix(0), self.values[1])]
        dropped = self.drop(hidden, call)
        return Pass(x, hidden, dropped, dense(dropped, self.matrix(2), self.values[3]), call)

    def d_hidden(self, judged: Pass, d_y: Matrix) -> Matrix:
        """The gradient before the discriminator's first activation."""
        d_dropped = self.drop(dense_backward_data(d_y, self.matrix(2)), judged.call)
        return [
            [relu_backward(y, d) for y, d in zip(*rows)] for rows in zip(judged.hidden, d_dropped)
        ]

    def discriminator_gradients(self, judged: list, counts: list[int]) -> list[list[float]]:
        """Of both passes, in order: two calls of each layer."""
        first = [(rows(p.x), rows(self.d_hidden(p, d_y))) for p, d_y in judged]
        second = [(rows(p.dropped), rows(d_y)) for p, d_y in judged]
        return [flat(part) for calls in (first, second) for part in dense_weights(calls, counts)]

    def generator_gradients(
        self, made: Pass, d_made: Matrix, counts: list[int]
    ) -> list[list[float]]:
        """Of the pass of the first phase."""
        d_z2 = [[tanh_backward(y, d) for y, d in zip(*pair)] for pair in zip(made.y, d_made)]
        d_hidden = dense_backward_data(d_z2, self.matrix(6))
        d_z1 = [[relu_backward(y, d) for y, d in zip(*pair)] for pair in zip(made.hidden, d_hidden)]
        first = dense_weights([(rows(made.x), rows(d_z1))], counts)
        second = dense_weights([(rows(made.hidden), rows(d_z2))], counts)
        return [flat(part) for part in (*first, *second)]

    def update(self, first: int, gradients: list[list[float]]) -> None:
        """Adam on the four variables of a model; t is the count of its updates."""
        rate = LEARNING_RATE[VARIABLES[first][0].split("/")[0]]
        for variable, gradient in enumerate(gradients, start=first):
            values = self.values[variable]
            for e, g in enumerate(gradient):
                adam = self.state.setdefault((variable, e), Adam(rate, 0.5))
                values[e] = adam.update(values[e], g, self.step + 1)

    def sha256(self) -> str:
        """The hash of the values of now."""
        return model_sha256(
            [(path, shape, v) for (path, shape, _), v in zip(VARIABLES, self.values)]
        )


def rows(matrix: Matrix) -> list[Matrix]:
    """Samples of one position each."""
    return [[row] for row in matrix]
