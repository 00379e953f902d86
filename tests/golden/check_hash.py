#!/usr/bin/env python3
"""Recomputes model_sha256 from a model.safetensors: the five lines of README, with nothing but Python's own library."""
import hashlib, json, struct, sys
with open(sys.argv[1], "rb") as f:
    tensors, hash = json.loads(f.read(struct.unpack("<Q", f.read(8))[0])), hashlib.sha256()
    for path, t in tensors.items():
        if path != "__metadata__":
            hash.update(f"{path} {t['dtype']} {t['shape']}\n".encode() + f.read(t["data_offsets"][1] - t["data_offsets"][0]))
print(hash.hexdigest())
