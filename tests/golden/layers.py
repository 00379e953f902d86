"""Sections 5, 6 and 8 of docs/NUMERICS.md, in the manner of numerics.py."""

import hashlib
import math
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from numerics import (
    add,
    chain,
    chain_sum,
    div,
    dropout_word,
    exp,
    f32,
    fma,
    lane_chains,
    literal,
    log,
    log1p,
    mul,
    power,
    shard_trees,
    sigmoid,
    sqrt,
    sub,
    tree,
    uniform,
)

Matrix = list[list[float]]  # [row][column]
Image = list[list[list[float]]]  # [h][w][c]

# --- 5. Layers ---


def relu(x: float) -> float:
    """x > 0 or x is NaN ? x : +0."""
    return x if x > 0.0 or math.isnan(x) else 0.0


def relu_backward(y: float, d_y: float) -> float:
    """y > 0 or y is NaN ? d_y : +0."""
    return d_y if y > 0.0 or math.isnan(y) else 0.0


def sigmoid_backward(y: float, d_y: float) -> float:
    """d_y (y (1 - y))."""
    return mul(d_y, mul(y, sub(1.0, y)))


def tanh_backward(y: float, d_y: float) -> float:
    """d_y fma(-y, y, 1)."""
    return mul(d_y, fma(-y, y, 1.0))


def dense(x: Matrix, w: Matrix, b: list[float] | None) -> Matrix:
    """y[o]: chain over i from b[o]."""
    start = b or [0.0] * len(w[0])
    return [
        [chain(((row[i], w[i][o]) for i in range(len(w))), start[o]) for o in range(len(w[0]))]
        for row in x
    ]


def dense_backward_data(d_y: Matrix, w: Matrix) -> Matrix:
    """d_x[i]: chain over o."""
    return [[chain(zip(row, w_row)) for w_row in w] for row in d_y]


def dense_weights(
    calls: Sequence[tuple[Sequence[Matrix], Sequence[Matrix]]], counts: Sequence[int]
) -> tuple[Matrix, list[float]]:
    """d_w and d_b. A call is (x, d_y), each [sample][position][feature].

    Per shard a chain over calls, samples, positions; then the shard tree.
    """
    shards, first = [], 0
    for count in counts:
        samples = range(first, first + count)
        shards.append([pair for x, d in calls for n in samples for pair in zip(x[n], d[n])])
        first += count
    inputs, outputs = len(calls[0][0][0][0]), len(calls[0][1][0][0])
    d_w = [
        [tree([chain((x[i], d[o]) for x, d in rows) for rows in shards]) for o in range(outputs)]
        for i in range(inputs)
    ]
    d_b = [tree([chain_sum(d[o] for _, d in rows) for rows in shards]) for o in range(outputs)]
    return d_w, d_b


@dataclass(frozen=True)
class Window:
    """Where the windows of a convolution or pooling lie in an image of `size`."""

    size: tuple[int, int]
    kernel: tuple[int, int]
    out: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)  # cells before the first

    def places(self) -> list[tuple[int, int]]:
        """All (p, q), row-major."""
        return [(p, q) for p in range(self.out[0]) for q in range(self.out[1])]

    def taps(self, p: int, q: int) -> Iterator[tuple[int, int, int, int]]:
        """(i, j, h, w) of the window's cells inside the image, row-major."""
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                h = p * self.stride[0] + i * self.dilation[0] - self.pad[0]
                w = q * self.stride[1] + j * self.dilation[1] - self.pad[1]
                if 0 <= h < self.size[0] and 0 <= w < self.size[1]:
                    yield i, j, h, w


def conv2d(x: Image, w: list, b: list[float] | None, window: Window, groups: int = 1) -> Image:
    """y[p,q,f]: chain over (i, j, c) from b[f]. w is [i][j][c of the group][f]."""
    channels, filters = len(w[0][0]), len(w[0][0][0])

    def output(p: int, q: int, f: int) -> float:
        first = f // (filters // groups) * channels
        pairs = (
            (x[h][v][first + c], w[i][j][c][f])
            for i, j, h, v in window.taps(p, q)
            for c in range(channels)
        )
        return chain(pairs, b[f] if b else 0.0)

    rows, columns = range(window.out[0]), range(window.out[1])
    return [[[output(p, q, f) for f in range(filters)] for q in columns] for p in rows]


def conv2d_backward_data(d_y: Image, w: list, window: Window, groups: int = 1) -> Image:
    """d_x[h,w,c]: chain over (i, j, f), existing taps."""
    channels, filters = len(w[0][0]), len(w[0][0][0]) // groups
    readers: dict[tuple[int, int], list[tuple[int, int, int, int]]] = {}
    for p, q in window.places():
        for i, j, h, v in window.taps(p, q):
            readers.setdefault((h, v), []).append((i, j, p, q))

    def gradient(h: int, v: int, c: int) -> float:
        group = range(c // channels * filters, (c // channels + 1) * filters)
        taps = sorted(readers.get((h, v), []))  # by (i, j)
        return chain((d_y[p][q][f], w[i][j][c % channels][f]) for i, j, p, q in taps for f in group)

    rows, columns = range(window.size[0]), range(window.size[1])
    return [[[gradient(h, v, c) for c in range(channels * groups)] for v in columns] for h in rows]


def conv2d_weights(
    calls: Sequence[tuple[Sequence[Image], Sequence[Image]]],
    shards: Sequence[Sequence[int]],
    positions: int,
    window: Window,
    groups: int = 1,
) -> tuple[list, list[float]]:
    """d_w and d_b. A call is (x, d_y) by sample; `shards`: the samples of each.

    Per sample a chain over calls, then (p, q); sample tree, shard tree.
    """
    channels, filters = len(calls[0][0][0][0][0]) // groups, len(calls[0][1][0][0][0])
    cells = {}  # tap: its (p, q, h, w) in the order of (p, q)
    for p, q in window.places():
        for i, j, h, v in window.taps(p, q):
            cells.setdefault((i, j), []).append((p, q, h, v))

    def weight(n: int, i: int, j: int, c: int, f: int) -> float:
        channel = f // (filters // groups) * channels + c
        return chain(
            (x[n][h][v][channel], d[n][p][q][f])
            for x, d in calls
            for p, q, h, v in cells.get((i, j), [])
        )

    def bias(n: int, f: int) -> float:
        return chain_sum(d[n][p][q][f] for _, d in calls for p, q in window.places())

    def over_samples(value: Callable[..., float], *index: int) -> float:
        return shard_trees([[value(n, *index) for n in shard] for shard in shards], positions)

    d_w = [
        [
            [[over_samples(weight, i, j, c, f) for f in range(filters)] for c in range(channels)]
            for j in range(window.kernel[1])
        ]
        for i in range(window.kernel[0])
    ]
    return d_w, [over_samples(bias, f) for f in range(filters)]


def zeros_of(window: Window, channels: int) -> Image:
    """An image of +0."""
    return [[[0.0] * channels for _ in range(window.size[1])] for _ in range(window.size[0])]


def winner(x: Image, window: Window, p: int, q: int, c: int) -> tuple[int, int]:
    """The cell that max pooling chooses: the first greatest, or the first NaN."""
    best = None
    for _, _, h, v in window.taps(p, q):
        if best is None or x[h][v][c] > x[best[0]][best[1]][c] or math.isnan(x[h][v][c]):
            best = (h, v)
        if math.isnan(x[best[0]][best[1]][c]):
            break
    return best


def max_pool(x: Image, window: Window) -> Image:
    """The winner of every window."""
    y = []
    for p in range(window.out[0]):
        row = []
        for q in range(window.out[1]):
            cells = [winner(x, window, p, q, c) for c in range(len(x[0][0]))]
            row.append([x[h][v][c] for c, (h, v) in enumerate(cells)])
        y.append(row)
    return y


def max_pool_backward(x: Image, d_y: Image, window: Window) -> Image:
    """Additions from +0 over the windows (p, q) that chose the cell."""
    d_x = zeros_of(window, len(x[0][0]))
    for p, q in window.places():
        for c in range(len(x[0][0])):
            h, v = winner(x, window, p, q, c)
            d_x[h][v][c] = add(d_x[h][v][c], d_y[p][q][c])
    return d_x


def average_pool(x: Image, window: Window) -> Image:
    """Additions from +0 over the window, divided by the count of its cells."""

    def mean(p: int, q: int, c: int) -> float:
        cells = [x[h][v][c] for _, _, h, v in window.taps(p, q)]
        return div(chain_sum(cells), float(len(cells)))

    channels = range(len(x[0][0]))
    columns = range(window.out[1])
    return [[[mean(p, q, c) for c in channels] for q in columns] for p in range(window.out[0])]


def average_pool_backward(d_y: Image, window: Window) -> Image:
    """Additions from +0 over the windows (p, q) of d_y / count."""
    channels = len(d_y[0][0])
    d_x = zeros_of(window, channels)
    for p, q in window.places():
        cells = list(window.taps(p, q))
        for _, _, h, v in cells:
            for c in range(channels):
                d_x[h][v][c] = add(d_x[h][v][c], div(d_y[p][q][c], float(len(cells))))
    return d_x


def dropout(
    x: Sequence[float], rate: float, seed: int, step: int, call: int, position: int
) -> list[float]:
    """One sample; backward is the same on its gradient. `step` counts from 0."""
    scale = f32(1.0 / (1.0 - rate))
    kept = [uniform(dropout_word(seed, step, call, position, e)) for e in range(len(x))]
    return [mul(v, scale) if u >= f32(rate) else 0.0 for v, u in zip(x, kept)]


Moments = tuple[float, float, float]  # n, mean, M2: doubles


def merge_moments(a: Moments, b: Moments) -> Moments:
    """Chan's merge, each operation in double."""
    if b[0] == 0.0:
        return a
    if a[0] == 0.0:
        return b
    n, delta = a[0] + b[0], b[1] - a[1]
    mean = a[1] + delta * (b[0] / n)
    return n, mean, (a[2] + b[2]) + (delta * delta) * ((a[0] * b[0]) / n)


@dataclass
class BatchNorm:
    """Batch normalization in training. x, d_y: [shard][sample][position][channel]."""

    positions: int  # c of the shards
    epsilon: float
    gamma: list[float] | None
    beta: list[float] | None

    def moments(self, x: list, c: int) -> Moments:
        """Per sample in float, merged in double along the trees."""

        def of_sample(sample: Matrix) -> Moments:
            values = [position[c] for position in sample]
            mean = div(chain_sum(values), float(len(values)))
            differences = [sub(value, mean) for value in values]
            return float(len(values)), mean, chain(zip(differences, differences))

        leaves = [[of_sample(sample) for sample in shard] for shard in x]
        return shard_trees(leaves, self.positions, merge_moments, (0.0, 0.0, 0.0))

    def normalized(self, x: float, mean: float, variance: float) -> float:
        """(x - mean) r."""
        return mul(sub(x, mean), self.reciprocal(variance))

    def reciprocal(self, variance: float) -> float:
        """r = 1 / sqrt(variance + epsilon)."""
        return div(1.0, sqrt(add(variance, f32(self.epsilon))))

    def output(self, x_hat: float, c: int) -> float:
        """What is absent of gamma and beta is left out."""
        if self.gamma and self.beta:
            return fma(x_hat, self.gamma[c], self.beta[c])
        if self.gamma:
            return mul(x_hat, self.gamma[c])
        return add(x_hat, self.beta[c]) if self.beta else x_hat

    def sums(self, x: list, d_y: list, c: int, mean: float, variance: float) -> tuple[float, float]:
        """S1 and S2 over the global batch."""
        pairs = [list(zip(xs, ds)) for xs, ds in zip(x, d_y)]

        def s2(sample: Matrix, d: Matrix) -> float:
            hats = (self.normalized(position[c], mean, variance) for position in sample)
            return chain((row[c], hat) for row, hat in zip(d, hats))

        first = [[chain_sum(row[c] for row in d) for _, d in shard] for shard in pairs]
        second = [[s2(sample, d) for sample, d in shard] for shard in pairs]
        return shard_trees(first, self.positions), shard_trees(second, self.positions)

    def backward(
        self, x_hat: float, d_y: float, c: int, variance: float, s: tuple[float, float], n: float
    ) -> float:
        """d_x = (gamma r) (d_y - (S1 + x_hat S2) (1/N))."""
        r = self.reciprocal(variance)
        factor = mul(self.gamma[c], r) if self.gamma else r
        return mul(factor, sub(d_y, mul(fma(x_hat, s[1], s[0]), f32(1.0 / n))))


def moving(old: float, new: float, momentum: float) -> float:
    """fma(old - new, momentum, new)."""
    return fma(sub(old, new), f32(momentum), new)


# --- 6. Losses, metrics, optimizers ---


def loss_seed(weight: float, loss_weight: float, divisor: int) -> float:
    """`weight` is the float w."""
    return f32(weight * loss_weight / divisor)


def greatest(x: Sequence[float]) -> float:
    """Compare-and-select; a NaN wins."""
    best = x[0]
    for value in x:
        if value > best or math.isnan(value):
            best = value
    return best


def softmax(x: Sequence[float]) -> list[float]:
    """e_k / sum, e_k = exp(x_k - max)."""
    m = greatest(x)
    e = [exp(sub(value, m)) for value in x]
    total = lane_chains(e)
    return [div(value, total) for value in e]


def softmax_backward(y: Sequence[float], d_y: Sequence[float]) -> list[float]:
    """y_k (d_y_k - s)."""
    s = chain(zip(d_y, y))
    return [mul(p, sub(d, s)) for p, d in zip(y, d_y)]


Loss = tuple[float, list[float]]  # of one sample: its loss and its gradient


def mean_squared_error(x: Sequence[float], t: Sequence[float], seed: float) -> Loss:
    """Mean of (x - t)^2."""
    d = [sub(a, b) for a, b in zip(x, t)]
    factor = mul(f32(2.0 / len(x)), seed)
    return div(chain(zip(d, d)), float(len(x))), [mul(value, factor) for value in d]


def sparse_logits(x: Sequence[float], label: int, seed: float) -> Loss:
    """Log(sum) - (x_t - m)."""
    total = lane_chains([exp(sub(value, greatest(x))) for value in x])
    p = softmax(x)
    loss = sub(log(total), sub(x[label], greatest(x)))
    return loss, [mul(sub(value, float(k == label)), seed) for k, value in enumerate(p)]


def categorical_logits(x: Sequence[float], t: Sequence[float], seed: float) -> Loss:
    """Log(sum) T - sum of t_k (x_k - m)."""
    m = greatest(x)
    total = lane_chains([exp(sub(value, m)) for value in x])
    picked = chain((target, sub(value, m)) for target, value in zip(t, x))
    weight = chain_sum(t)
    p = softmax(x)
    d_x = [mul(sub(mul(value, weight), target), seed) for value, target in zip(p, t)]
    return sub(mul(log(total), weight), picked), d_x


CLIP_LOW, CLIP_HIGH = literal("1e-7"), sub(1.0, literal("1e-7"))


def clip(p: float) -> tuple[float, bool]:
    """The clipped value, and whether it was outside."""
    if p < CLIP_LOW:
        return CLIP_LOW, True
    return (CLIP_HIGH, True) if p > CLIP_HIGH else (p, False)


def probabilities(x: Sequence[float], t: Sequence[float], seed: float) -> Loss:
    """-sum of t_k log(p_k), p divided by its sum and clipped. Sparse: t is one-hot."""
    total = lane_chains(x)
    p = [div(value, total) for value in x]
    loss = sub(0.0, chain((target, log(clip(value)[0])) for target, value in zip(t, p)))
    g = [0.0 if clip(value)[1] else -div(target, value) for target, value in zip(t, p)]
    a = chain(zip(g, p))
    return loss, [mul(div(sub(slope, a), total), seed) for slope in g]


def binary_logits(x: Sequence[float], t: Sequence[float], seed: float) -> Loss:
    """Mean of max(x, 0) - x t + log1p(exp(-|x|))."""
    values = [add(sub(relu(a), mul(a, b)), log1p(exp(-abs(a)))) for a, b in zip(x, t)]
    factor = mul(f32(1.0 / len(x)), seed)
    d_x = [mul(sub(sigmoid(a), b), factor) for a, b in zip(x, t)]
    return div(chain_sum(values), float(len(x))), d_x


def binary_probabilities(x: Sequence[float], t: Sequence[float], seed: float) -> Loss:
    """Mean of -(t log(p) + (1 - t) log(1 - p))."""
    factor = mul(f32(1.0 / len(x)), seed)
    total, d_x = 0.0, []
    for value, target in zip(x, t):
        p, outside = clip(value)
        no = sub(1.0, target), sub(1.0, p)
        total = sub(total, add(mul(target, log(p)), mul(no[0], log(no[1]))))
        slope = sub(div(no[0], no[1]), div(target, p))
        d_x.append(0.0 if outside else mul(slope, factor))
    return div(total, float(len(x))), d_x


def reported(shards: Sequence[Sequence[float]]) -> float:
    """The double sum of one step: a chain over a shard's samples, then the shard tree."""

    def plus(a: float, b: float) -> float:
        return a + b

    sums = []
    for shard in shards:
        total = 0.0
        for value in shard:
            total += value
        sums.append(total)
    return tree(sums, 1, plus, 0.0)


def stored(x: float) -> float:
    """Denormal optimizer state becomes +0."""
    return 0.0 if abs(x) < 2.0**-126 else x


@dataclass
class Sgd:
    """SGD of one parameter; `momentum` 0 keeps no state."""

    learning_rate: float
    momentum: float = 0.0
    nesterov: bool = False
    m: float = 0.0

    def update(self, w: float, g: float, _: int) -> float:
        """The new value."""
        rate, momentum = f32(self.learning_rate), f32(self.momentum)
        if momentum == 0.0:
            return fma(-rate, g, w)
        self.m = stored(fma(-rate, g, mul(momentum, self.m)))
        step = fma(-rate, g, mul(momentum, self.m)) if self.nesterov else self.m
        return add(w, step)


@dataclass
class Adam:
    """Adam of one parameter."""

    learning_rate: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-7
    m: float = 0.0
    v: float = 0.0

    def alpha(self, t: int) -> float:
        """The corrected step size, in double, rounded once."""
        corrections = 1.0 - power(self.beta1, t), 1.0 - power(self.beta2, t)
        return f32(self.learning_rate * math.sqrt(corrections[1]) / corrections[0])

    def update(self, w: float, g: float, t: int) -> float:
        """The new value; `t` counts updates from 1."""
        self.m = stored(fma(sub(g, self.m), f32(1.0 - self.beta1), self.m))
        self.v = stored(fma(sub(mul(g, g), self.v), f32(1.0 - self.beta2), self.v))
        step = div(mul(self.alpha(t), self.m), add(sqrt(self.v), f32(self.epsilon)))
        return sub(w, step)


# --- 8. The hash ---


def model_sha256(variables: Sequence[tuple[str, Sequence[int], Sequence[float]]]) -> str:
    """Of (path, shape, values) in Keras' weight order."""
    digest = hashlib.sha256()
    for path, shape, values in variables:
        digest.update(f"{path} F32 {list(shape)}\n".encode())
        digest.update(struct.pack(f"<{len(values)}f", *values))
    return digest.hexdigest()
