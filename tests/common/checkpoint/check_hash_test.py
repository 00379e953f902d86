"""check_hash_test.py EXPORT_SMALL_MODEL CHECK_HASH: Python finds the hash that C++ states, and sees a flipped bit."""
import os
import subprocess
import sys
import tempfile

export, check = sys.argv[1:]


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


with tempfile.TemporaryDirectory() as directory:
    path = os.path.join(directory, "model.safetensors")
    stated = output(export, path)
    assert len(stated) == 65 and output(sys.executable, check, path) == stated, stated

    with open(path, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))
    assert output(sys.executable, check, path) != stated
