"""The LSTM of section 5 of docs/NUMERICS.md, in the manner of layers.py."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from layers import Matrix, dense_backward_data, dense_weights, stored
from layers import sigmoid_backward as gate_backward
from layers import tanh_backward as squash_backward
from numerics import add, chain, fma, mul, sigmoid, tanh


@dataclass
class Lstm:
    """tanh and sigmoid. w [F][4H], u [H][4H], b [4H] or None; gates i, f, c, o side by side."""

    w: Matrix
    u: Matrix
    b: list[float] | None
    backwards: bool = False
    gates: Matrix = field(default_factory=list)  # of the last sample, by position
    cells: Matrix = field(default_factory=list)
    squashed: Matrix = field(default_factory=list)
    before: Matrix = field(default_factory=list)  # h of the step before

    @property
    def units(self) -> int:
        """H."""
        return len(self.u)

    def order(self, positions: int) -> list[int]:
        """Positions in the order of the steps."""
        return list(range(positions))[:: -1 if self.backwards else 1]

    def forward(self, x: Matrix) -> Matrix:
        """One sample: h of every step, by step."""
        units, outputs = self.units, []
        start = self.b or [0.0] * (4 * units)
        h, cell = [0.0] * units, [0.0] * units
        for name in ("gates", "cells", "squashed", "before"):
            setattr(self, name, [[] for _ in x])
        for p in self.order(len(x)):
            z = []
            for j in range(4 * units):
                of_x = chain(((a, row[j]) for a, row in zip(x[p], self.w)), start[j])
                of_h = chain(((a, row[j]) for a, row in zip(h, self.u)), of_x)
                z.append(tanh(of_h) if j // units == 2 else sigmoid(of_h))
            i, f, g, o = (z[k * units : (k + 1) * units] for k in range(4))
            self.before[p], self.gates[p] = h, z
            cell = [stored(fma(a, b, mul(c, d))) for a, b, c, d in zip(i, g, f, cell)]
            squashed = [tanh(value) for value in cell]
            h = [stored(mul(a, b)) for a, b in zip(o, squashed)]
            self.cells[p], self.squashed[p] = cell, squashed
            outputs.append(h)
        return outputs

    def backward(self, d_y: Sequence[list[float] | None]) -> Matrix:
        """Of the sample that went forward last: gradients of the gates before activation.

        `d_y`: by step, None where the step has no output; the result is by position.
        """
        units, order = self.units, self.order(len(d_y))
        d_z: Matrix = [[] for _ in d_y]
        carried, after = [0.0] * units, None
        for step in reversed(range(len(d_y))):
            p = order[step]
            before = self.cells[order[step - 1]] if step else [0.0] * units
            parts: list[list[float]] = [[], [], [], []]
            for k in range(units):
                i, f, g, o = (self.gates[p][k + n * units] for n in range(4))
                d_h = None if after is None else chain(zip(after, self.u[k]))
                if d_y[step] is not None:
                    d_h = d_y[step][k] if d_h is None else add(d_y[step][k], d_h)
                squashed = self.squashed[p][k]
                d_c = add(squash_backward(squashed, mul(d_h, o)), carried[k])
                parts[0].append(stored(gate_backward(i, mul(d_c, g))))
                parts[1].append(stored(gate_backward(f, mul(d_c, before[k]))))
                parts[2].append(stored(squash_backward(g, mul(d_c, i))))
                parts[3].append(stored(gate_backward(o, mul(d_h, squashed))))
                carried[k] = stored(mul(d_c, f))
            d_z[p] = after = [value for part in parts for value in part]
        return d_z


@dataclass
class Gradients:
    """Of a layer over all its samples and calls."""

    d_z: list  # [call][sample][position][4H]
    d_x: list
    d_w: Matrix
    d_u: Matrix
    d_b: list[float]


def gradients(layer: Lstm, calls: Sequence[tuple[list, list]], counts: Sequence[int]) -> Gradients:
    """A call is (x, d_y), each by sample; d_y as Lstm.backward takes it."""
    d_z, before = [], []
    for x, d_y in calls:
        d_z.append([])
        before.append([])
        for sample, d_sample in zip(x, d_y):
            layer.forward(sample)
            d_z[-1].append(layer.backward(d_sample))
            before[-1].append(layer.before)
    d_w, d_b = dense_weights([(x, d) for (x, _), d in zip(calls, d_z)], counts)
    d_u, _ = dense_weights(list(zip(before, d_z)), counts)
    d_x = [[dense_backward_data(sample, layer.w) for sample in call] for call in d_z]
    return Gradients(d_z, d_x, d_w, d_u, d_b)
