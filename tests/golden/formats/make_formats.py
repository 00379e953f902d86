#!/usr/bin/env python3
"""Makes the data files beside it. IDX needs nothing but Python; NPZ needs NumPy, which wrote what is committed as 1.24.2.

<format>/<example>.yaml is the data source of a job whose paths are relative to its folder; the conformance suite opens
each one. Element k of every array is a function of k that tests/common/data/formats/npz_test.cc knows too.
"""
import gzip, pathlib, struct

HERE = pathlib.Path(__file__).parent
IDX_TYPES = {"u1": (0x08, "B"), "i1": (0x09, "b"), "i2": (0x0B, "h"), "i4": (0x0C, "i"), "f4": (0x0D, "f"), "f8": (0x0E, "d")}
WIDE = {"i2": 300, "u2": 300, "i4": 20_000_000, "i8": 10**16}


def value(k, code):
    base = k * 37 % 101 - 50
    if code.startswith("f"):
        return base / 3
    if code == "b1":
        return base % 2
    return (base + 50 if code.startswith("u") else base) * WIDE.get(code, 1)


def idx(code, shape, values):
    number, letter = IDX_TYPES[code]
    return struct.pack(f">BBBB{len(shape)}I{len(values)}{letter}", 0, 0, number, len(shape), *shape, *values)


def write_idx(folder):
    images, labels = idx("u1", (6, 2, 3), [value(k, "u1") for k in range(36)]), idx("u1", (6,), [9, 0, 0, 3, 0, 2])
    (folder / "images.idx").write_bytes(images)
    (folder / "labels.idx").write_bytes(labels)
    (folder / "plain.yaml").write_text("{format: idx, inputs: images.idx, targets: labels.idx}\n")
    # Two members of the same stream: bgzip and pigz write such files.
    members = [gzip.compress(part, mtime=0) for part in (images[:20], images[20:])]
    (folder / "images.gz").write_bytes(b"".join(members))
    (folder / "labels.gz").write_bytes(gzip.compress(labels, mtime=0))
    (folder / "gzip.yaml").write_text("{format: idx, inputs: images.gz, targets: labels.gz}\n")
    for code in IDX_TYPES:
        (folder / f"{code}.idx").write_bytes(idx(code, (4, 3), [value(k, code) for k in range(12)]))
    inputs = ", ".join(f"{code}: {code}.idx" for code in IDX_TYPES)
    (folder / "weights.idx").write_bytes(idx("f4", (4,), [0.5, 1, 1.5, 2]))
    (folder / "types.yaml").write_text(
        f"{{format: idx, inputs: {{{inputs}}}, targets: u1.idx, sample_weights: weights.idx}}\n")


def write_npz(folder):
    import numpy as np

    x = np.arange(18, dtype=np.uint8).reshape(6, 3)
    y = np.array([9, 0, 0, 3, 0, 2], dtype=np.int64)
    w = np.array([0.5, 1, 1.5, 2, 2.5, 3], dtype=np.float32)
    for name, save in ("stored", np.savez), ("deflated", np.savez_compressed):
        save(folder / f"{name}.npz", x=x, y=y, w=w)
        (folder / f"{name}.yaml").write_text(
            f"{{format: npz, path: {name}.npz, inputs: x, targets: y, sample_weights: w}}\n")
    types = {}
    for code in "b1", "u1", "i1", "u2", "i2", "i4", "i8", "f4", "f8":
        array = np.array([value(k, code) for k in range(12)], dtype=code).reshape(4, 3)
        types[code] = array
        if array.itemsize > 1:
            types[f"{code}_swapped"] = array.astype(array.dtype.newbyteorder(">"))
    np.savez(folder / "types.npz", **types)
    refused = {
        "objects": np.array([{}, None], dtype=object),
        "complex": np.ones(2, dtype=np.complex64),
        "half": np.ones(2, dtype=np.float16),
        "unsigned": np.ones(2, dtype=np.uint32),
        "text": np.array(["a", "b"]),
        "fields": np.ones(2, dtype=[("a", "<f4"), ("b", "<i4")]),
        "columns": np.asfortranarray(np.ones((2, 3), dtype=np.float32)),
        "number": np.float32(1),
        "empty": np.ones((0, 3), dtype=np.float32),
    }
    np.savez(folder / "refused.npz", **refused)


write_idx(HERE / "idx")
write_npz(HERE / "npz")
