"""What the golden scripts of this folder share: float64 truth that two Keras backends agree on.

A script calls main(compute, title). Run without arguments it runs itself once per backend in a
process of its own (Keras binds its backend at import), demands that all numbers agree to 1e-9 of
the largest of their array, and writes the first backend's to a JSON file beside it. Needs a virtual
environment outside of the tree: pip install keras==3.15.1 tensorflow-cpu==2.21.0 jax==0.10.2.
"""

import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

BACKENDS = {"tensorflow": "tensorflow_cpu", "jax": "jax"}  # and the package that has its version
AGREEMENT = 1e-9
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # numerics.py

Arrays = dict[str, np.ndarray]


def set_float64() -> None:
    """Before Keras computes anything. Its promotion rules make float32 of float64 under JAX."""
    import keras
    from keras.src.backend.common import dtypes

    keras.config.set_floatx("float64")
    dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"
    assert dtypes.result_type("float64", float) == "float64"


def exactly(constant: float) -> np.float64:
    """A constant that TensorFlow's cast does not pass through float32, as it does Python's."""
    return np.float64(constant)


def entries(array: np.ndarray, most: int = 64) -> np.ndarray:
    """Up to `most` entries: k * stride mod size, with the odd stride (size // most) | 1."""
    flat = array.ravel()
    if flat.size <= most:
        return flat
    return flat[np.arange(most) * ((flat.size // most) | 1) % flat.size]


def summary(name: str, array: np.ndarray) -> Arrays:
    """An array's norm, sum and some of its entries."""
    return {
        f"{name}/norm": np.array([np.linalg.norm(array.ravel())]),
        f"{name}/sum": np.array([array.sum()]),
        f"{name}/entries": entries(array),
    }


def train_on_batches(model, batches: Sequence[dict]) -> np.ndarray:
    """The loss of every batch before its update; keys are those of train_on_batch."""
    losses = []
    for batch in batches:
        model.reset_metrics()
        losses.append(float(model.train_on_batch(**batch, return_dict=True)["loss"]))
    return np.array(losses)


def gradients_of(model, compile_model: Callable, batch: dict) -> list[np.ndarray]:
    """What SGD of rate 1 subtracts from each variable; the model is left as it was."""
    import keras

    before = model.get_weights()
    compile_model(keras.optimizers.SGD(1.0))
    train_on_batches(model, [batch])
    after = model.get_weights()
    model.set_weights(before)
    return [a - b for a, b in zip(before, after)]


def _run(script: str, backend: str, folder: str) -> Arrays:
    """One backend's numbers."""
    out = Path(folder) / f"{backend}.npz"
    environment = os.environ | {
        "KERAS_BACKEND": backend,
        "JAX_ENABLE_X64": "1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "CUDA_VISIBLE_DEVICES": "",
    }
    subprocess.run([sys.executable, script, str(out)], env=environment, check=True)
    with np.load(out) as arrays:
        return dict(arrays)


def _distance(path: str, first: Arrays, second: Arrays) -> float:
    """The largest difference, relative to the largest entry; a sum's may cancel: to the norm."""
    scale = np.max(np.abs(first[path]))
    if path.endswith("/sum"):
        scale = max(scale, first[path.removesuffix("sum") + "norm"][0])
    return float(np.max(np.abs(first[path] - second[path])) / scale)


def _nested(arrays: Arrays) -> dict:
    """Paths become objects, arrays decimal text that reads back exactly."""
    tree: dict = {}
    for path, array in arrays.items():
        *parents, leaf = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = " ".join(repr(float(v)) for v in array.ravel())
    return tree


def main(compute: Callable[[], Arrays], script: str, of_jax_alone: Sequence[str] = ()) -> None:
    """Computes in a child, compares and writes in the parent.

    `of_jax_alone`: endings of names whose numbers are JAX's and are not compared.
    """
    if len(sys.argv) == 2:
        set_float64()
        np.savez(sys.argv[1], **compute())
        return
    with tempfile.TemporaryDirectory() as folder:
        first, second = (_run(script, backend, folder) for backend in BACKENDS)
    assert list(first) == list(second)
    first |= {path: second[path] for path in first if path.endswith(tuple(of_jax_alone))}
    distances = {path: _distance(path, first, second) for path in first}
    worst = max(distances, key=distances.get)
    print(f"worst agreement: {distances[worst]:.2e} at {worst}")
    if distances[worst] > AGREEMENT:
        for path, distance in distances.items():
            if distance > AGREEMENT:
                print(f"  {path}: {distance:.2e}")
        sys.exit(1)
    versions = {
        package: importlib.metadata.version(package)
        for package in ("keras", *BACKENDS.values(), "numpy")
    }
    content = {"made_by": Path(script).name, "versions": versions} | _nested(first)
    target = Path(script).with_name(Path(script).stem.split("_")[1] + ".json")
    target.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
