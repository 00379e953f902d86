"""A job's model as a torch module with the same weights and the same arithmetic.

Images are NCHW inside, in the memory format that the caller gives them; what a job file says about
shapes is NHWC, so Flatten and Reshape see the channels last, which costs nothing in channels_last.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

import job as jobs

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid}
Variables = dict[str, np.ndarray]


def _pair(value: object) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def _parameter(array: np.ndarray) -> nn.Parameter:
    return nn.Parameter(torch.tensor(np.ascontiguousarray(array)))


def _channels_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1) if x.dim() == 4 else x


class Conv2d(nn.Module):
    """Padding as Keras computes it: the odd cell after the image."""

    def __init__(self, options: jobs.Options, variables: Variables) -> None:
        super().__init__()
        kernel = variables["kernel"]
        groups = options.get("groups", 1)
        self.stride = _pair(options.get("strides", 1))
        self.dilation = _pair(options.get("dilation_rate", 1))
        self.same = options.get("padding", "valid") == "same"
        self.conv = nn.Conv2d(
            kernel.shape[2] * groups,
            kernel.shape[3],
            kernel.shape[:2],
            self.stride,
            dilation=self.dilation,
            groups=groups,
            bias="bias" in variables,
        )
        self.conv.weight = _parameter(kernel.transpose(3, 2, 0, 1))
        if "bias" in variables:
            self.conv.bias = _parameter(variables["bias"])

    def forward(self, x: Tensor) -> Tensor:
        if not self.same:
            return self.conv(x)
        totals = [
            max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
            for size, stride, kernel, dilation in zip(
                x.shape[2:], self.stride, self.conv.kernel_size, self.dilation
            )
        ]
        if all(total % 2 == 0 for total in totals):
            padding = [total // 2 for total in totals]
            conv = self.conv
            return functional.conv2d(
                x, conv.weight, conv.bias, conv.stride, padding, conv.dilation, conv.groups
            )
        (top, bottom), (left, right) = ((t // 2, t - t // 2) for t in totals)
        return self.conv(functional.pad(x, (left, right, top, bottom)))


class Lstm(nn.Module):
    """Keras has one bias, so torch's second one stays zero and is not trained."""

    def __init__(self, options: jobs.Options, variables: Variables) -> None:
        super().__init__()
        kernel, recurrent, bias = variables.values()
        self.sequences = options.get("return_sequences", False)
        self.lstm = nn.LSTM(kernel.shape[0], recurrent.shape[0], batch_first=True)
        self.lstm.weight_ih_l0 = _parameter(kernel.T)
        self.lstm.weight_hh_l0 = _parameter(recurrent.T)
        self.lstm.bias_ih_l0 = _parameter(bias)
        self.lstm.bias_hh_l0 = nn.Parameter(torch.zeros(len(bias)), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.lstm(x)[0]
        return y if self.sequences else y[:, -1]


def _dense(options: jobs.Options, variables: Variables) -> nn.Module:
    kernel = variables["kernel"]
    dense = nn.Linear(*kernel.shape, bias="bias" in variables)
    dense.weight = _parameter(kernel.T)
    if "bias" in variables:
        dense.bias = _parameter(variables["bias"])
    return dense


def _batch_normalization(options: jobs.Options, variables: Variables) -> nn.Module:
    gamma, beta, _, _ = variables.values()
    make = nn.BatchNorm2d
    norm = make(len(gamma), options.get("epsilon", 1e-3), 1 - options.get("momentum", 0.99))
    norm.weight, norm.bias = _parameter(gamma), _parameter(beta)
    return norm


class Calls(nn.Module):
    """A function of tensors as a module."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs)


def _reshape(options: jobs.Options, _: Variables) -> nn.Module:
    shape = options["target_shape"]

    def reshape(x: Tensor) -> Tensor:
        y = _channels_last(x).reshape(len(x), *shape)
        return y.permute(0, 3, 1, 2) if y.dim() == 4 else y

    return Calls(reshape)


def _zero_padding2d(options: jobs.Options, _: Variables) -> nn.Module:
    rows, columns = map(_pair, _pair(options.get("padding", 1)))
    return nn.ZeroPad2d((*columns, *rows))


def _concatenate(options: jobs.Options, _: Variables) -> nn.Module:
    assert options.get("axis", -1) == -1, "only the last axis"
    return Calls(lambda *inputs: torch.cat(inputs, 1 if inputs[0].dim() == 4 else -1))


def _pooling(make: type[nn.Module]) -> Callable[[jobs.Options, Variables], nn.Module]:
    def pooling(options: jobs.Options, _: Variables) -> nn.Module:
        assert options.get("padding", "valid") == "valid", "only valid padding"
        size = _pair(options.get("pool_size", 2))
        return make(size, _pair(options.get("strides", size)))

    return pooling


MAKERS: dict[str, Callable[[jobs.Options, Variables], nn.Module]] = {
    "activation": lambda options, _: nn.Identity(),  # every layer's option does the work
    "add": lambda *_: Calls(lambda *inputs: sum(inputs[1:], inputs[0])),
    "average_pooling2d": _pooling(nn.AvgPool2d),
    "batch_normalization": _batch_normalization,
    "concatenate": _concatenate,
    "conv2d": Conv2d,
    "dense": _dense,
    "flatten": lambda *_: Calls(lambda x: _channels_last(x).flatten(1)),
    "global_average_pooling2d": lambda *_: Calls(lambda x: x.mean((2, 3))),
    "lstm": Lstm,
    "max_pooling2d": _pooling(nn.MaxPool2d),
    "reshape": _reshape,
    "zero_padding2d": _zero_padding2d,
}


class JobModel(nn.Module):
    """The graph of a job's model."""

    def __init__(self, graph: jobs.ModelGraph, weights: jobs.Weights, model: str = "") -> None:
        super().__init__()
        self.graph = graph
        self.made = nn.ModuleDict(
            {
                layer.name: MAKERS[layer.kind](
                    layer.options, jobs.of_layer(weights, model, layer.name)
                )
                for layer in graph.layers
            }
        )

    def forward(self, x: Tensor) -> Tensor:
        tensors = {self.graph.input_name: x}
        for layer in self.graph.layers:
            y = self.made[layer.name](*(tensors[name] for name in layer.inputs))
            activation = layer.options.get("activation", "linear")
            is_lstm = layer.kind == "lstm"  # has its activation inside
            tensors[layer.name] = (
                y if activation == "linear" or is_lstm else ACTIVATIONS[activation](y)
            )
        return tensors[self.graph.layers[-1].name]
