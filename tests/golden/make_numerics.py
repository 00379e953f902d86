#!/usr/bin/env python3
"""Writes numerics.json: inputs and outputs of every definition of docs/NUMERICS.md, bit by bit.

Floats are eight hex digits (their bits), doubles and 64-bit words sixteen, lists are separated by
blanks, row-major; a NaN is 7fc00000, for its payload is not promised.
Usage: make_numerics.py [--check]; --check compares with the file instead of writing it.
"""

import dataclasses
import itertools
import json
import math
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import layers as ly
import lstm
import numerics as nx
import tiny_gan as gan
from tiny_job import JOB, TinyJob, flat, images, labels, nest

FILE = Path(__file__).with_name("numerics.json")
INF, NAN = math.inf, math.nan
DENORMAL, TINY, HUGE = 2.0**-149, 2.0**-126, nx.from_float_bits(0x7F7FFFFF)


def floats(nested: object) -> str:
    """The bits of floats."""
    bits = [0x7FC00000 if math.isnan(v) else nx.float_bits(v) for v in flat(nested)]
    return " ".join(f"{b:08x}" for b in bits)


def doubles(values: Sequence[float]) -> str:
    """The bits of doubles."""
    return " ".join(f"{nx.double_bits(v):016x}" for v in values)


def words(values: Sequence[int]) -> str:
    """64-bit words."""
    return " ".join(f"{v:016x}" for v in values)


def integers(values: Sequence[int]) -> str:
    """Decimal numbers."""
    return " ".join(str(v) for v in flat(list(values)))


class Values:
    """Random floats in [-scale, scale) as nested lists, the same in every run."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def __call__(self, *shape: int, scale: float = 1.0) -> list:
        count = math.prod(shape)
        return nest([nx.f32(scale * (2 * self.random.random() - 1)) for _ in range(count)], shape)


# --- sections 2 and 3 ---


def reductions() -> dict:
    """Section 2. Samples of the shard trees are numbered shard by shard."""
    v = Values(1)
    a, b, start = v(37), v(37), v(1)
    trees = []
    for n in (0, 1, 3, 5, 8):
        leaves = v(n) if n else []
        trees.append({"x": floats(leaves), "sum": floats(nx.tree(leaves))})
    trees.append({"x": floats([-0.0]), "sum": floats(nx.tree([-0.0]))})
    trees.append({"x": floats([-0.0] * 3), "sum": floats(nx.tree([-0.0] * 3))})
    lanes = [(x, nx.lane_chains(x)) for x in (v(k) for k in (1, 15, 16, 17, 40))]
    shards = []
    for positions, counts in ((4, [4, 4, 4, 4]), (3, [3, 3, 1, 0]), (1, [1, 1, 0, 0]), (5, [2])):
        x = v(sum(counts))
        total = nx.shard_trees(nx.in_shards(x, counts), positions)
        case = {"positions": positions, "counts": integers(counts), "x": floats(x)}
        shards.append(case | {"sum": floats(total)})
    tensors = [[nx.uniform(w) for w in nx.initializer_words(5, t, n)]
               for t, n in enumerate((4096, 9000, 33))]  # fmt: skip
    return {
        "chain": {"a": floats(a), "b": floats(b), "start": floats(start),
                  "fma": floats(nx.chain(zip(a, b), start[0])),
                  "add": floats(nx.chain_sum(a, start[0]))},
        "lane_chains": [{"x": floats(x), "sum": floats(total)} for x, total in lanes],
        "trees": trees,
        "shard_trees": shards,
        "block_tree": {"inputs": "uniform [0, 1) of seed 5; tensor t is variable t",
                       "sizes": integers([4096, 9000, 33]), "sum": floats(nx.block_tree(tensors))},
    }  # fmt: skip


def shards() -> dict:
    """Section 3."""
    batches = [1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 33, 63, 64, 100, 128, 255, 256, 1000, 4096, 65536]
    cases = [(32, 8, 32), (32, 8, 31), (32, 8, 3), (20, 8, 20), (20, 8, 10), (5, 4, 5), (1, 1, 1),
             (100, 8, 60), (3, 8, 3)]  # fmt: skip
    owners = [(8, w) for w in range(1, 9)] + [(1, 1), (16, 5), (64, 7)]
    return {
        "auto": {"batch": integers(batches),
                 "shards": integers([nx.auto_shards(b) for b in batches])},
        "counts": [{"batch": b, "shards": s, "samples": n,
                    "positions": nx.shard_positions(b, s),
                    "counts": integers(nx.shard_counts(b, s, n))} for b, s, n in cases],
        "owners": [{"shards": s, "workers": w,
                    "first": integers([begin for begin, _ in nx.parts(s, w)]),
                    "subtrees": integers([v for p in nx.parts(s, w)
                                          for t in nx.maximal_subtrees(*p) for v in t])}
                   for s, w in owners],
        "blocks": [{"blocks": blocks, "workers": w,
                    "begin": integers([begin for begin, _ in nx.parts(blocks, w)])}
                   for blocks, w in ((170, 1), (170, 3), (170, 8), (2, 5), (0, 2))],
    }  # fmt: skip


# --- section 4 ---

SEEDS = [0, 1, 7, 2**32 + 5, 2**64 - 1]


def random_numbers() -> dict:
    """Keys, words, distributions, shuffles."""
    counters = [(0, 0, 0, 0), (1, 2, 3, 4), (nx.MASK32,) * 4, (0x243F6A88, 0x85A308D3, 7, 2**31)]
    keys = [0, 0xFFFFFFFFFFFFFFFF, 0x299F31D0A4093822, nx.random_key(7, nx.SHUFFLE)]
    sample = [0, 1, 2, 255, 256, 2**31, 2**32 - 1] + nx.initializer_words(3, 2, 33)
    shuffles = []
    for n, seed, epoch in [(1, 7, 0), (2, 0, 0), (2, 7, 1), (2, 7, 3), (5, 0, 0), (5, 7, 0),
                           (5, 7, 2**32 + 1), (17, 0, 0), (17, 7, 1), (17, 2**40, 12),
                           (1000, 0, 0), (1000, 7, 1), (1000, 2**64 - 1, 3)]:  # fmt: skip
        order = nx.permutation(seed, epoch, n)
        shuffles.append({"seed": words([seed]), "epoch": words([epoch]), "order": integers(order)})
    return {
        "splitmix": {"x": words(SEEDS), "y": words([nx.splitmix64(x) for x in SEEDS])},
        "keys": [{"seed": words([seed]),
                  "keys": words([nx.random_key(seed, purpose) for purpose in range(1, 6)])}
                 for seed in SEEDS],
        "philox": [{"counter": words(c), "key": words([k]), "words": words(nx.philox(c, k))}
                   for c, k in zip(counters, keys)],
        "initializer_words": {"seed": words([7]), "variable": 3,
                              "words": words(nx.initializer_words(7, 3, 9))},
        "distributions": {
            "word": words(sample),
            "uniform": floats([nx.uniform(w) for w in sample]),
            "normal": doubles([nx.normal(w) for w in sample]),
            "truncated_normal": doubles([nx.truncated_normal(w) for w in sample]),
        },
        "shuffles": shuffles,
    }  # fmt: skip


def initializers() -> list:
    """Every initialiser, options, shapes of every kind: tall, wide and square for orthogonal."""
    cases = [(name, {}, shape) for name in sorted(nx.SCALED) for shape in ((3, 2, 2, 3), (7, 5))]
    cases += [
        ("glorot_uniform", {}, (9,)), ("he_normal", {}, (4,)), ("zeros", {}, (2, 2)),
        ("ones", {}, (3,)), ("constant", {}, (3,)), ("constant", {"value": 0.1}, (2,)),
        ("identity", {}, (3, 4)), ("identity", {"gain": 0.3}, (3, 2)),
        ("random_uniform", {}, (2, 9)), ("random_uniform", {"minval": -0.3, "maxval": 0.7}, (11,)),
        ("random_normal", {}, (2, 9)), ("random_normal", {"mean": 0.1, "stddev": 2.0}, (5,)),
        ("truncated_normal", {}, (2, 9)), ("truncated_normal", {"mean": -1.0, "stddev": 0.3}, (7,)),
        ("variance_scaling", {}, (3, 4)),
        ("variance_scaling",
         {"scale": 0.7, "mode": "fan_out", "distribution": "untruncated_normal"}, (3, 4)),
        ("variance_scaling", {"mode": "fan_avg", "distribution": "uniform"}, (2, 3, 2)),
        ("orthogonal", {}, (5, 3)), ("orthogonal", {"gain": 1.4}, (3, 5)),
        ("orthogonal", {}, (4, 4)), ("orthogonal", {}, (2, 2, 3, 4)), ("orthogonal", {}, (1, 6)),
        ("unit_forget_bias", {}, (12,)),
        ("unit_forget_bias", {"initializer": "random_normal"}, (20,)),
    ]  # fmt: skip
    return [
        {
            "initializer": json.dumps({name: options}),
            "shape": integers(shape),
            "seed": words([7 + k]),
            "variable": k,
            "values": floats(nx.initialize(name, shape, 7 + k, k, **options)),
        }
        for k, (name, options, shape) in enumerate(cases)
    ]


# --- section 7 ---


def around(*borders: float) -> list[float]:
    """Each border with its neighbours."""
    bits = [nx.float_bits(abs(b)) + d for b in borders for d in (-1, 0, 1)]
    signs = [math.copysign(1.0, b) for b in borders for _ in range(3)]
    return [math.copysign(nx.from_float_bits(s), sign) for s, sign in zip(bits, signs)]


def functions() -> dict:
    """Elementary functions at edges and borders of ranges, and at random places."""
    v = Values(7)
    edges = [0.0, -0.0, DENORMAL, -DENORMAL, *around(TINY, -TINY), HUGE, -HUGE, INF, -INF, NAN,
             1.0, -1.0, 0.5, -0.5]  # fmt: skip
    places = {
        "exp": around(89.0, 88.72284, 88.029688, 0.34657359, -0.34657359, -87.336548, -103.27893,
                      -103.97208, -104.0) + v(24, scale=100.0),
        "log": around(math.sqrt(0.5), math.sqrt(2.0), 1.0, 2.0, 3 * DENORMAL, 2.0**-130, HUGE / 2)
        + [abs(x) for x in v(24, scale=30.0)],
        "log1p": around(-1.0, 2.0**-24, -(2.0**-25), 2.0**24, -0.2928932, 0.41421357)
        + v(12) + [abs(x) for x in v(12, scale=1e4)],
        "sigmoid": around(89.0, -89.0, -103.97208, -104.0, 17.0, -17.0) + v(24, scale=20.0),
        "tanh": around(0.625, -0.625, 9.0, -9.0, 44.5, 44.361420, 2.0**-12) + v(24, scale=4.0),
    }  # fmt: skip
    result = {}
    for name, x in places.items():
        x = [nx.f32(value) for value in edges + x]
        result[name] = {"x": floats(x), "y": floats([getattr(nx, name)(value) for value in x])}
    x = [1.0, math.sqrt(0.5), math.sqrt(2.0), 2.0**-1022, 1e308, 0.5 - 2.0**-54, 2.0**-33, 1 / 3]
    return result | {"log_double": {"x": doubles(x), "y": doubles([nx.log_double(a) for a in x])}}


# --- section 5 ---


def activations() -> list:
    """Forward from x, backward from y."""
    v = Values(5)
    x = [0.0, -0.0, DENORMAL, -DENORMAL, INF, -INF, NAN, 2.5, -2.5] + v(7, scale=3.0)
    d_y = v(16)
    cases = []
    for name, act, back in (("relu", ly.relu, ly.relu_backward),
                            ("sigmoid", nx.sigmoid, ly.sigmoid_backward),
                            ("tanh", nx.tanh, ly.tanh_backward)):  # fmt: skip
        y = [act(a) for a in x]
        d_x = [back(a, b) for a, b in zip(y, d_y)]
        cases.append({"name": name, "x": floats(x), "y": floats(y), "d_y": floats(d_y),
                      "d_x": floats(d_x)})  # fmt: skip
    return cases


def softmaxes() -> list:
    """Rows of samples."""
    v, cases = Values(6), []
    for classes in (1, 3, 10, 17, 33):
        x, d_y = v(3, classes, scale=9.0), v(3, classes)
        if classes == 10:
            x[1][2], x[2][4], x[2][7] = -INF, 100.0, -100.0
        y = [ly.softmax(row) for row in x]
        d_x = [ly.softmax_backward(a, b) for a, b in zip(y, d_y)]
        cases.append({"classes": classes, "x": floats(x), "y": floats(y), "d_y": floats(d_y),
                      "d_x": floats(d_x)})  # fmt: skip
    return cases


def denses() -> list:
    """Several shards, positions and calls of one layer."""
    v, cases = Values(8), []
    for positions, inputs, outputs, calls, bias, c, counts in (
        (1, 5, 3, 1, True, 2, [2, 2, 1, 0]), (1, 18, 17, 1, False, 3, [3]),
        (3, 4, 2, 2, True, 2, [2, 1, 0, 0]),
    ):  # fmt: skip
        n = sum(counts)
        x = [v(n, positions, inputs) for _ in range(calls)]
        d_y = [v(n, positions, outputs) for _ in range(calls)]
        w, b = v(inputs, outputs), v(outputs) if bias else None
        d_w, d_b = ly.dense_weights(list(zip(x, d_y)), counts)
        cases.append({
            "positions": positions, "inputs": inputs, "outputs": outputs, "calls": calls,
            "shard_positions": c, "counts": integers(counts),
            "x": floats(x), "w": floats(w), "b": floats(b or []), "d_y": floats(d_y),
            "y": floats([ly.dense(sample, w, b) for sample in x[0]]),
            "d_x": floats([ly.dense_backward_data(sample, w) for sample in d_y[0]]),
            "d_w": floats(d_w), "d_b": floats(d_b),
        })  # fmt: skip
    return cases


def lstms() -> list:
    """Sequences and last outputs, from both ends, several shards and calls; tails of gates."""
    v, cases = Values(16), []
    for positions, inputs, units, sequences, backwards, calls, bias, c, counts in (
        (4, 3, 2, True, False, 1, True, 2, [2, 2, 1, 0]),
        (3, 5, 7, False, False, 1, True, 3, [3]),
        (3, 2, 5, True, True, 2, False, 2, [2, 1, 0, 0]),
        (2, 1, 1, False, True, 1, True, 1, [1, 1]),
        (6, 2, 3, True, False, 1, True, 2, [2]),
    ):
        n, gates = sum(counts), 4 * units
        x = [v(n, positions, inputs) for _ in range(calls)]
        steps = positions if sequences else 1
        d_y = [v(n, steps, units) for _ in range(calls)]
        layer = lstm.Lstm(v(inputs, gates), v(units, gates), v(gates) if bias else None, backwards)
        if positions == 6:  # i nearly closed: states and gradients on both sides of 2^-126
            layer.b = [nx.f32(b - (85.0, 2.0, 0.0, 0.0)[j // units])
                       for j, b in enumerate(layer.b)]  # fmt: skip
        missing = [None] * (positions - steps)
        result = lstm.gradients(
            layer, [(a, [missing + sample for sample in d]) for a, d in zip(x, d_y)], counts
        )
        y = [layer.forward(sample)[positions - steps :] for sample in x[0]]
        cases.append({
            "positions": positions, "inputs": inputs, "units": units,
            "sequences": int(sequences), "backwards": int(backwards), "calls": calls,
            "shard_positions": c, "counts": integers(counts),
            "x": floats(x), "w": floats(layer.w), "u": floats(layer.u), "b": floats(layer.b or []),
            "d_y": floats(d_y), "y": floats(y), "d_gates": floats(result.d_z[0]),
            "d_x": floats(result.d_x[0]), "d_w": floats(result.d_w), "d_u": floats(result.d_u),
            "d_b": floats(result.d_b),
        })  # fmt: skip
    return cases


def window_case(window: ly.Window) -> dict:
    """The integers of a window: height, width of each."""
    return {name: integers(getattr(window, name))
            for name in ("size", "kernel", "out", "stride", "dilation", "pad")}  # fmt: skip


def conv2ds() -> list:
    """Padding, stride, dilation, groups, a shared layer."""
    v, cases = Values(9), []
    window = ly.Window
    for g, channels, filters, groups, calls, bias, c, counts in (
        (window((4, 5), (3, 3), (4, 5), pad=(1, 1)), 2, 3, 1, 1, True, 2, [2, 1, 0, 0]),
        (window((5, 6), (3, 2), (3, 3), stride=(2, 2), pad=(1, 0)), 1, 2, 1, 1, True, 3, [3]),
        (window((6, 6), (3, 3), (2, 2), dilation=(2, 2)), 4, 6, 2, 1, False, 1, [1, 1]),
        (window((5, 3), (2, 2), (5, 3), dilation=(3, 1), pad=(1, 0)), 1, 17, 1, 1, True, 1, [1]),
        (window((3, 3), (2, 2), (2, 2)), 2, 2, 1, 2, True, 2, [2, 1]),
    ):
        n = sum(counts)
        x = [v(n, *g.size, channels) for _ in range(calls)]
        d_y = [v(n, *g.out, filters) for _ in range(calls)]
        w, b = v(*g.kernel, channels // groups, filters), v(filters) if bias else None
        shards = nx.in_shards(list(range(n)), counts)
        d_w, d_b = ly.conv2d_weights(list(zip(x, d_y)), shards, c, g, groups)
        cases.append(window_case(g) | {
            "channels": channels, "filters": filters, "groups": groups, "calls": calls,
            "shard_positions": c, "counts": integers(counts),
            "x": floats(x), "w": floats(w), "b": floats(b or []), "d_y": floats(d_y),
            "y": floats([ly.conv2d(image, w, b, g, groups) for image in x[0]]),
            "d_x": floats([ly.conv2d_backward_data(image, w, g, groups) for image in d_y[0]]),
            "d_w": floats(d_w), "d_b": floats(d_b),
        })  # fmt: skip
    return cases


def poolings() -> list:
    """Ties, NaN and windows over the edge; the last one is global."""
    v, cases = Values(10), []
    window = ly.Window
    for g in (
        window((4, 5), (2, 2), (2, 2), stride=(2, 2)),
        window((5, 4), (3, 3), (3, 2), stride=(2, 2), pad=(1, 0)),
        window((3, 4), (2, 3), (2, 2)),
        window((3, 3), (3, 3), (1, 1)),
    ):
        x = [[[[nx.f32(round(3 * a) / 3) for a in pixel] for pixel in row] for row in image]
             for image in v(2, *g.size, 2)]  # fmt: skip
        x[0][1][1][0] = x[0][2][2][0] = x[1][0][1][1] = NAN
        d_y = v(2, *g.out, 2)
        cases.append(window_case(g) | {
            "channels": 2, "x": floats(x), "d_y": floats(d_y),
            "max_y": floats([ly.max_pool(image, g) for image in x]),
            "max_d_x": floats([ly.max_pool_backward(a, d, g) for a, d in zip(x, d_y)]),
            "average_y": floats([ly.average_pool(image, g) for image in x]),
            "average_d_x": floats([ly.average_pool_backward(d, g) for d in d_y]),
        })  # fmt: skip
    return cases


def batch_norms() -> list:
    """Moments, outputs and gradients; one channel is constant."""
    v, cases = Values(11), []
    for positions, channels, scale, center, epsilon, momentum, c, counts in (
        (4, 3, True, True, 1e-3, 0.99, 2, [2, 2, 1, 0]), (1, 2, True, False, 0.1, 0.5, 3, [3, 2]),
        (3, 9, False, True, 1e-5, 0.9, 1, [1, 1, 0, 0]), (2, 1, False, False, 1e-3, 0.99, 5, [5]),
    ):  # fmt: skip
        n = sum(counts)
        x, d_y = v(n, positions, channels, scale=2.0), v(n, positions, channels)
        for position in (p for sample in x for p in sample):
            position[0] = nx.f32(0.7) if channels == 9 else position[0]
        norm = ly.BatchNorm(c, epsilon, v(channels) if scale else None,
                            v(channels) if center else None)  # fmt: skip
        xs, ds = nx.in_shards(x, counts), nx.in_shards(d_y, counts)
        moments = [norm.moments(xs, ch) for ch in range(channels)]
        mean, var = [nx.f32(m[1]) for m in moments], [nx.f32(m[2] / m[0]) for m in moments]
        sums = [norm.sums(xs, ds, ch, mean[ch], var[ch]) for ch in range(channels)]
        e = [(ch, x[k][p][ch], d_y[k][p][ch])
             for k in range(n) for p in range(positions) for ch in range(channels)]  # fmt: skip
        hats = [norm.normalized(a, mean[ch], var[ch]) for ch, a, _ in e]
        y = [norm.output(hat, ch) for (ch, _, _), hat in zip(e, hats)]
        total = float(n * positions)
        d_x = [norm.backward(hat, d, ch, var[ch], sums[ch], total)
               for (ch, _, d), hat in zip(e, hats)]  # fmt: skip
        old = v(2, channels)
        cases.append({
            "positions": positions, "channels": channels, "shard_positions": c,
            "counts": integers(counts), "epsilon": floats(nx.f32(epsilon)),
            "momentum": floats(nx.f32(momentum)), "gamma": floats(norm.gamma or []),
            "beta": floats(norm.beta or []), "x": floats(x), "d_y": floats(d_y),
            "moments": doubles([part for m in moments for part in m]),
            "mean": floats(mean), "variance": floats(var), "old": floats(old),
            "moving": floats([[ly.moving(a, b, momentum) for a, b in zip(old[0], mean)],
                              [ly.moving(a, b, momentum) for a, b in zip(old[1], var)]]),
            "y": floats(y), "sums": floats([[s[0] for s in sums], [s[1] for s in sums]]),
            "d_x": floats(d_x),
        })  # fmt: skip
    return cases


def dropouts() -> list:
    """Masks at small and large steps."""
    cases = []
    for features, rate, seed, step, call in ((10, 0.25, 7, 0, 0), (5, 0.5, 0, 3, 65535),
                                             (67, 0.1, 2**40, 2**32 + 9, 2)):  # fmt: skip
        positions = [0, 1, 5, 1000]
        x = Values(features)(len(positions), features)
        y = [ly.dropout(a, rate, seed, step, call, p) for a, p in zip(x, positions)]
        cases.append({"features": features, "rate": floats(nx.f32(rate)),
                      "scale": floats(nx.f32(1.0 / (1.0 - rate))), "seed": words([seed]),
                      "step": words([step]), "call": call, "positions": integers(positions),
                      "x": floats(x), "y": floats(y)})  # fmt: skip
    return cases


def noises() -> list:
    """Numbers at small and large steps, and those that do not change."""
    cases = []
    positions = [0, 1, 5, 1000]
    for kind, elements, seed, step, call in (("normal", 10, 7, 0, 0), ("uniform", 5, 0, 3, 65535),
                                             ("normal", 67, 2**40, 2**32 + 9, 2)):  # fmt: skip
        values = [gan.noise_of(kind, seed, step, call, p, elements) for p in positions]
        fixed = [gan.fixed_noise_of(kind, seed, call, p, elements) for p in positions]
        cases.append({"kind": kind, "elements": elements, "seed": words([seed]),
                      "step": words([step]), "call": call, "positions": integers(positions),
                      "values": floats(values), "fixed": floats(fixed)})  # fmt: skip
    return cases


def decodes() -> list:
    """fma(float(x), scale, offset) of bytes and doubles."""
    scale, offset = nx.f32(1 / 255), nx.f32(-0.1)
    real = [0.1, 1e-40, 1e300, -1.0 / 3.0]
    return [
        {"type": "u8", "x": integers(range(0, 256, 5)), "scale": floats(scale),
         "offset": floats(offset),
         "y": floats([nx.fma(float(x), scale, offset) for x in range(0, 256, 5)])},
        {"type": "f64", "x": doubles(real), "scale": floats(1.0), "offset": floats(0.0),
         "y": floats([nx.fma(nx.f32(x), 1.0, 0.0) for x in real])},
    ]  # fmt: skip


# --- section 6 ---


def losses() -> list:
    """Loss and gradient of every sample under its seed."""
    v, cases = Values(12), []

    def one_hot(label: int, k: int) -> list[float]:
        return [float(i == label) for i in range(k)]

    for name, k in itertools.product(
        ("mean_squared_error", "sparse_logits", "categorical_logits", "sparse_probabilities",
         "categorical_probabilities", "binary_logits", "binary_probabilities"), (1, 3, 10, 18)
    ):  # fmt: skip
        n = 4
        x = v(n, k, scale=8.0)
        if "probabilities" in name:
            x = [[nx.f32(abs(a) / 8) for a in row] for row in x]
            x[0][0], x[1][-1] = (0.0, 1.0) if name[0] == "b" else (x[0][0], nx.f32(1e-12))
        if name == "binary_logits":
            x[0][0], x[1][0], x[2][0] = 0.0, 100.0, -100.0
        label = [(3 * sample + 1) % k for sample in range(n)]
        soft = [[nx.f32(abs(a)) for a in row] for row in v(n, k)]
        t = [one_hot(a, k) for a in label] if name[0] == "s" else soft
        seed = [ly.loss_seed(nx.f32(w), 0.7, 5) for w in (1.0, 0.3, 2.0, 0.0)]
        function = {"mean_squared_error": ly.mean_squared_error, "sparse_logits": ly.sparse_logits,
                    "categorical_logits": ly.categorical_logits,
                    "binary_logits": ly.binary_logits,
                    "binary_probabilities": ly.binary_probabilities,
                    }.get(name, ly.probabilities)  # fmt: skip
        target = label if name == "sparse_logits" else t
        results = [function(*sample) for sample in zip(x, target, seed)]
        cases.append({"name": name, "features": k, "x": floats(x), "seed": floats(seed),
                      "label": integers(label), "target": floats(t),
                      "loss": floats([r[0] for r in results]),
                      "d_x": floats([r[1] for r in results])})  # fmt: skip
    return cases


def weights() -> dict:
    """Seeds from sample weight (double), class weight, loss weight and the count of samples."""
    sample = [1.0, 0.3, 2.5, 1e-3, 0.0, 1.1, 0.7]
    label = [0, 1, 2, 0, 1, 2, 2]
    by_class = {0: 0.3, 2: 1.7}
    w = [nx.f32(a * by_class.get(c, 1.0)) for a, c in zip(sample, label)]
    counts, values = nx.shard_counts(8, 4, 7), Values(13)(7)
    terms = nx.in_shards([a * b for a, b in zip(values, w)], counts)
    return {
        "sample_weight": doubles(sample), "label": integers(label), "classes": 3,
        "class_weight": doubles([0.3, 1.0, 1.7]), "loss_weight": doubles([0.3]),
        "batch": 8, "shards": 4, "counts": integers(counts),
        "weight": floats(w), "seed": floats([ly.loss_seed(a, 0.3, 7) for a in w]),
        "loss": floats(values), "reported": doubles([ly.reported(terms)]),
    }  # fmt: skip


def optimizers() -> list:
    """Several steps over flat parameters; small gradients reach the denormal rule."""
    v, cases = Values(14), []
    for text, first in (
        ("{sgd: {learning_rate: 0.1}}", ly.Sgd(0.1)),
        ("{sgd: {learning_rate: 0.1, momentum: 0.9}}", ly.Sgd(0.1, 0.9)),
        ("{sgd: {momentum: 0.5, nesterov: true}}", ly.Sgd(0.01, 0.5, True)),
        ("adam", ly.Adam()),
        (
            "{adam: {learning_rate: 0.01, beta_1: 0.5, beta_2: 0.9, epsilon: 0.001}}",
            ly.Adam(0.01, 0.5, 0.9, 1e-3),
        ),
    ):
        count, steps = 19, 5
        w, g = v(count), v(steps, count)
        for step, row in enumerate(g):
            row[0], row[1], row[2] = 0.0, nx.f32(row[1] * 1e-20), nx.f32(row[2] * 1e-37)
            row[3] = nx.f32(TINY * 1.5) if step == 0 else 0.0
            row[4] = nx.f32(row[4] * 1e15)
        parameters = [dataclasses.replace(first) for _ in range(count)]
        settings = (
            [1.0 - first.beta1, 1.0 - first.beta2, first.epsilon]
            if isinstance(first, ly.Adam)
            else [first.learning_rate, first.momentum, float(first.nesterov)]
        )
        case = {"optimizer": text, "settings": floats([nx.f32(a) for a in settings]),
                "value": floats(w), "gradient": floats(g)}  # fmt: skip
        values = []
        for t, row in enumerate(g, start=1):
            w = [p.update(a, b, t) for p, a, b in zip(parameters, w, row)]
            values.append(w)
        case |= {"values": floats(values), "m": floats([p.m for p in parameters])}
        if isinstance(first, ly.Adam):
            case |= {"v": floats([p.v for p in parameters]),
                     "alpha": floats([first.alpha(t) for t in range(1, steps + 1)])}  # fmt: skip
        cases.append(case)
    return cases


def alphas() -> dict:
    """Adam's step size at far steps, by binary exponentiation in double."""
    t = [1, 2, 3, 10, 1000, 123457, 2**40]
    return {"t": integers(t), "alpha": floats([ly.Adam().alpha(step) for step in t])}


# --- section 8 ---


def hashes() -> dict:
    """The hash of given values, of a job before and after training, and of a GAN."""
    v = Values(15)
    tensors = [("conv2d/kernel", (3, 3, 1, 2), flat(v(18))), ("conv2d/bias", (2,), [0.0, -0.0])]
    job, tiny_gan = TinyJob(), gan.TinyGan()
    before = job.sha256()
    job.run()
    tiny_gan.run()
    return {
        "tensors": [{"path": path, "shape": integers(shape), "values": floats(values)}
                    for path, shape, values in tensors],
        "sha256": ly.model_sha256(tensors),
        "job": {"yaml": JOB, "images": integers(images()), "labels": integers(labels()),
                "initial_sha256": before, "trained_sha256": job.sha256(),
                "losses": doubles(job.losses)},
        "gan": {"yaml": gan.JOB, "images": integers(gan.gan_images()),
                "trained_sha256": tiny_gan.sha256(),
                "d_losses": doubles([d for d, _ in tiny_gan.losses]),
                "g_losses": doubles([g for _, g in tiny_gan.losses])},
    }  # fmt: skip


def document() -> str:
    """The file's text."""
    content = {
        "numerics_version": 1, "reductions": reductions(), "shards": shards(),
        "random": random_numbers(), "initializers": initializers(), "functions": functions(),
        "activations": activations(), "softmax": softmaxes(), "dense": denses(),
        "lstm": lstms(), "conv2d": conv2ds(), "pooling": poolings(), "batch_norm": batch_norms(),
        "dropout": dropouts(), "noise": noises(), "decode": decodes(), "losses": losses(),
        "weights": weights(),
        "optimizers": optimizers(), "alphas": alphas(), "hash": hashes(),
    }  # fmt: skip
    return json.dumps(content, indent=1) + "\n"


def main() -> int:
    """Writes or checks the file."""
    text = document()
    if sys.argv[1:] == ["--check"]:
        if FILE.read_text(encoding="utf-8") == text:
            print(f"{FILE.name} is what the script gives")
            return 0
        print(f"{FILE.name} is not what the script gives; changed bits raise numerics_version")
        return 1
    FILE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
