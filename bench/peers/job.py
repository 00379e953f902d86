"""A job file as the peers see it: its graph of layers, its first batches, its initial weights.

Models are defined nowhere else: each peer builds its own from the same job file as Lockstep.
"""

import copy
import gzip
import json
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml

Options = dict[str, object]
Weights = dict[str, np.ndarray]  # by "layer/variable", or "model/layer/variable"


@dataclass(frozen=True)
class Layer:
    """A layer of a job file with its name and inputs resolved."""

    kind: str
    name: str
    inputs: list[str]
    options: Options = field(default_factory=dict)


@dataclass(frozen=True)
class ModelGraph:
    """The layers of one model in order; the last one is its output."""

    input_shape: list[int]
    layers: list[Layer]
    input_name: str = "input_layer"

    def without_last_activation(self) -> "ModelGraph":
        """The model whose output is the logits that losses take."""
        *body, last = self.layers
        options = {key: value for key, value in last.options.items() if key != "activation"}
        layers = [*body, Layer(last.kind, last.name, last.inputs, options)]
        return ModelGraph(self.input_shape, layers, self.input_name)


def load(path: Path) -> dict:
    """The job file as it stands."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def variation(job: dict, batch: int, steps: int, learning_rate: float | None = None) -> dict:
    """The job with these steps over its first batches, without anything that is not training."""
    job = copy.deepcopy(job)
    job["train"] = {"batch_size": batch, "steps": steps, "shuffle": False, "seed": 7}
    job["data"] = {k: v for k, v in job["data"].items() if k in ("train", "preprocess")}
    job["checkpoint"] = {"every": "1h"}
    if learning_rate is not None:
        job["optimizer"] = {"adam": {"learning_rate": learning_rate}}
        if "optimizers" in job:
            del job["optimizer"]
            job["optimizers"] = {
                name: {"adam": {"learning_rate": learning_rate}} for name in job["optimizers"]
            }
    return job


@dataclass(frozen=True)
class Adam:
    """What the job says of its optimizer, with Keras' defaults."""

    learning_rate: float = 0.001
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7


def adam(job: dict, model: str = "") -> Adam:
    """The optimizer of a model; the peers know no other."""
    optimizer = job["optimizers"][model] if "optimizers" in job else job["optimizer"]
    kind, options = (optimizer, {}) if isinstance(optimizer, str) else next(iter(optimizer.items()))
    assert kind == "adam", f"the peers train with adam, not with {kind}"
    return Adam(**(options or {}))


def graphs(job: dict) -> dict[str, ModelGraph]:
    """The models by name; a single one is called ''."""
    models = job["models"] if "models" in job else {"": job["model"]}
    return {name: _graph(model) for name, model in models.items()}


def _graph(model: dict) -> ModelGraph:
    parsed = []
    for item in model["layers"]:
        kind, options = (item, {}) if isinstance(item, str) else next(iter(item.items()))
        parsed.append((kind, dict(options or {})))
    ((input_name, input_shape),) = (
        model["inputs"] if "inputs" in model else {"input_layer": model["input_shape"]}
    ).items()
    taken = {options["name"] for _, options in parsed if "name" in options}
    counts: dict[str, int] = {}
    layers: list[Layer] = []
    for kind, options in parsed:
        name = options.pop("name", None)
        while name is None:  # as Keras counts
            count = counts.get(kind, 0)
            counts[kind] = count + 1
            name = f"{kind}_{count}" if count else kind
            name = None if name in taken else name
        taken.add(name)
        inputs = options.pop("inputs", layers[-1].name if layers else input_name)
        layers.append(Layer(kind, name, [inputs] if isinstance(inputs, str) else inputs, options))
    return ModelGraph(input_shape, layers, input_name)


def read_weights(path: Path) -> Weights:
    """A safetensors file of f32, in its order."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    body = memoryview(data)[8 + size :]
    by_place = sorted(header.items(), key=lambda item: item[1]["data_offsets"][0])
    return {
        name: np.frombuffer(body[slice(*entry["data_offsets"])], np.float32).reshape(entry["shape"])
        for name, entry in by_place
    }


def of_layer(weights: Weights, model: str, layer: str) -> dict[str, np.ndarray]:
    """The variables of one layer by name, in Keras' weight order."""
    prefix = f"{model}/{layer}/" if model else f"{layer}/"
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}


def _idx(path: str, samples: int) -> np.ndarray:
    with gzip.open(path) as file:
        magic = file.read(4)
        dims = [int.from_bytes(file.read(4), "big") for _ in range(magic[3])]
        size = int(np.prod(dims[1:], dtype=int))
        return np.frombuffer(file.read(samples * size), np.uint8).reshape([-1, *dims[1:]])


def samples(job: dict, shape: list[int], count: int) -> tuple[np.ndarray, np.ndarray]:
    """The first `count` inputs of the training data, decoded, and their labels."""
    train = job["data"]["train"]
    scale = job["data"].get("preprocess", {}).get("scale", 1.0)
    offset = job["data"].get("preprocess", {}).get("offset", 0.0)
    x = _idx(train["inputs"], count).astype(np.float32) * np.float32(scale) + np.float32(offset)
    y = _idx(train["targets"], count) if "targets" in train else np.zeros(count, np.uint8)
    return x.reshape([-1, *shape]), y.astype(np.int64)
