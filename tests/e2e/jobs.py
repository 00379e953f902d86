"""Small data and small jobs, so that a run takes less than a second."""

from __future__ import annotations

import copy
import functools
import random
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

CLASSES = 4
SIDE = 8  # pixels of an image, each way

Json = dict[str, Any]


def write_idx(path: Path, dims: Iterable[int], data: bytes, type_code: int = 0x08) -> None:
    """An IDX file; `data` is big-endian."""
    dims = list(dims)
    path.write_bytes(
        bytes([0, 0, type_code, len(dims)])
        + b"".join(struct.pack(">I", dim) for dim in dims)
        + data
    )


@functools.cache
def images(count: int, seed: int) -> tuple[bytes, bytes]:
    """Pixels and labels that can be learned: a bright quarter of noise says the class."""
    chance = random.Random(seed)
    quarter = SIDE * SIDE // CLASSES
    pixels = bytearray()
    labels = bytearray()
    for _ in range(count):
        label = chance.randrange(CLASSES)
        noise = chance.randbytes(SIDE * SIDE)
        pixels += bytes(
            value // 2 + (100 if place // quarter == label else 0)
            for place, value in enumerate(noise)
        )
        labels.append(label)
    return bytes(pixels), bytes(labels)


def noise(count: int, seed: int) -> tuple[bytes, bytes]:
    """Pixels and labels of which nothing can be learned; a million in a second."""
    chance = random.Random(seed)
    classes = bytes(value % CLASSES for value in range(256))
    return chance.randbytes(count * SIDE * SIDE), chance.randbytes(count).translate(classes)


def write_images(directory: Path, name: str, count: int, seed: int) -> Json:
    """The data source of `count` images in two IDX files, as a job names it.

    Where there are many, what they show does not matter.
    """
    pixels, labels = images(count, seed) if count <= 5000 else noise(count, seed)
    write_idx(directory / f"{name}-images", [count, SIDE, SIDE, 1], pixels)
    write_idx(directory / f"{name}-labels", [count], labels)
    return {"format": "idx", "inputs": f"{name}-images", "targets": f"{name}-labels"}


def small_job() -> Json:
    """Every kind of call in a model of 552 parameters; 20 samples in 8 shards leave one empty."""
    return {
        "name": "small",
        "model": {
            "input_shape": [SIDE, SIDE, 1],
            "layers": [
                {"conv2d": {"filters": 4, "kernel_size": 3, "activation": "relu"}},
                "batch_normalization",
                "max_pooling2d",
                {"dropout": {"rate": 0.25}},
                "flatten",
                {"dense": {"units": 12, "activation": "relu"}},
                {"dense": {"units": CLASSES, "activation": "softmax"}},
            ],
        },
        "data": {"preprocess": {"scale": 0.00392156862745098}},
        "train": {"batch_size": 20, "epochs": 3, "shards": 8, "seed": 5},
        "loss": "sparse_categorical_crossentropy",
        "optimizer": {"adam": {"learning_rate": 0.01}},
        "metrics": ["accuracy"],
        "checkpoint": {"every_steps": 7},
        "resources": {"workers": 2},
        "output": {"directory": "out"},
    }


def small_gan_job(units: int) -> Json:
    """A generator and a discriminator with `units` in their inner layers; 20 samples a batch."""
    adam = {"adam": {"learning_rate": 0.0005, "beta_1": 0.5}}
    return {
        "name": "small-gan",
        "program": {"gan": {"samples": [4, 3]}},
        "models": {
            "generator": {
                "inputs": {"noise": [7]},
                "layers": [
                    {"dense": {"units": units, "activation": "relu"}},
                    "batch_normalization",
                    {"dense": {"units": SIDE * SIDE, "activation": "tanh"}},
                    {"reshape": {"target_shape": [SIDE, SIDE, 1]}},
                ],
            },
            "discriminator": {
                "inputs": {"image": [SIDE, SIDE, 1]},
                "layers": [
                    "flatten",
                    {"dense": {"units": units, "activation": "relu"}},
                    {"dropout": {"rate": 0.25}},
                    {"dense": {"units": units, "activation": "relu"}},
                    {"dense": {"units": 1, "activation": "sigmoid"}},
                ],
            },
        },
        "data": {"preprocess": {"scale": 0.00784313725490196, "offset": -1}},
        "train": {"batch_size": 20, "epochs": 3, "shards": 8, "seed": 5},
        "optimizers": {"generator": adam, "discriminator": adam},
        "checkpoint": {"every_steps": 30},
        "resources": {"workers": 2},
        "output": {"directory": "out"},
    }


def with_change(job: Json, path: str, value: Any) -> Json:
    """A copy of `job` in which the place "train.batch_size" or "model.layers.0" holds `value`."""
    changed = copy.deepcopy(job)
    *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    place: Any = changed
    for key in parents:
        place = place[key]
    place[last] = value
    return changed
