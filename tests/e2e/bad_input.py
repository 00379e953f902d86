"""Bad input: one message (where, what, what to do), exit code 2, nothing started, nothing lost."""

from __future__ import annotations

import dataclasses
import gzip
import io
import json
import os
import re
import shutil
import struct
import subprocess
import unittest
import zipfile
from pathlib import Path
from typing import Any

import lockstep
from jobs import SIDE, Json, images, with_change, write_idx
from lockstep import OPTIONS, checkpoint_steps
from programs import Done

PIXELS = SIDE * SIDE


def npz(arrays: dict[str, bytes]) -> bytes:
    """A .npz of .npy members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, member in arrays.items():
            archive.writestr(f"{name}.npy", member)
    return file.getvalue()


def npy(descr: str, shape: tuple[int, ...], data: bytes) -> bytes:
    """A version 1.0 .npy."""
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


class Refusals(lockstep.Case):
    """Shared by all that is refused before anything starts."""

    def assert_refusal(self, done: Done, *parts: str) -> str:
        """Exit code 2; on stderr one error and one way out, with `parts` (regular expressions)."""
        self.assertEqual((done.code, done.out), (2, ""), str(done))
        self.assertRegex(done.err, r"\Aerror: [^\n]+\nhint: [^\n]+\n\Z", "one error and one hint")
        for part in parts:
            self.assertRegex(done.err, part)
        self.assertEqual(self.processes(), [])
        return done.err


# Job files


@dataclasses.dataclass(frozen=True)
class BadJob:
    """A change of the small job, and what the message must hold.

    `line` is text of the line that it points to; "": to none.
    """

    path: str
    value: Any
    line: str
    parts: tuple[str, ...]


def _layer(number: int, options: str) -> str:
    return f"model.layers.{number}.{options}"


_DENSE = 5
BAD_JOBS: dict[str, BadJob] = {
    "unknown key at the top": BadJob(
        "metrix", ["accuracy"], "metrix", ("metrix: unknown option", "did you mean 'metrics'")
    ),
    "unknown key in a section": BadJob(
        "train.batchsize", 3, "batchsize", ("train.batchsize", "did you mean 'batch_size'")
    ),
    "unknown key of a layer": BadJob(
        _layer(_DENSE, "dense.unit"),
        3,
        '"unit"',
        (r"model.layers\[5\].dense.unit: unknown option", "did you mean 'units'"),
    ),
    "unknown layer": BadJob(
        _layer(0, ""),
        {"conv2": {}},
        "conv2",
        (r"model.layers\[0\]: unknown layer 'conv2'", "'conv2d'"),
    ),
    "unknown layer like none": BadJob(
        _layer(0, ""),
        "transmogrifier",
        "transmogrifier",
        ("'transmogrifier'", "known: .*conv2d.*dense"),
    ),
    "unknown optimizer": BadJob(
        "optimizer", "adamm", "adamm", ("optimizer: unknown optimizer 'adamm'", "'adam'")
    ),
    "unknown loss": BadJob(
        "loss", "mean_square_error", "mean_square", ("loss: unknown loss", "'mean_squared_error'")
    ),
    "unknown metric": BadJob(
        "metrics", ["acuracy"], "acuracy", (r"metrics\[0\]: unknown metric 'acuracy'", "'accuracy'")
    ),
    "unknown activation": BadJob(
        _layer(_DENSE, "dense.activation"),
        "rellu",
        "rellu",
        ("dense.activation: .*'rellu'", "'relu'"),
    ),
    "unknown format": BadJob(
        "data.train.format", "idxx", "idxx", ("data.train: unknown format 'idxx'", "'idx'")
    ),
    "unknown program": BadJob(
        "program", "supervized", "", ("program", "'supervized'", "'supervised'")
    ),
    "unknown launcher": BadJob(
        "launcher", "lokal", "lokal", ("launcher: unknown launcher 'lokal'", "'local'")
    ),
    "unknown output format": BadJob(
        "output.formats", ["safetensor"], "formats", ("output.formats", "'safetensors'")
    ),
    "unknown callback": BadJob(
        "callbacks", ["early"], "early", (r"callbacks\[0\]: unknown callback 'early'", "remove it")
    ),
    "a word for a number": BadJob(
        "train.batch_size", "many", "many", ("train.batch_size: is string 'many'", "takes an int")
    ),
    "a fraction for a count": BadJob(
        "train.batch_size", 1.5, "1.5", ("train.batch_size: is float 1.5", "takes an int")
    ),
    "a flag for a number": BadJob(
        "train.epochs", True, "epochs", ("train.epochs: is bool true", "takes an int")
    ),
    "a number for a flag": BadJob(
        "train.shuffle", 1, "shuffle", ("train.shuffle: is int 1", "takes true or false")
    ),
    "a number for a map": BadJob("train", 3, '"train": 3', ("train: is int 3", "takes a map")),
    "a map for a list": BadJob(
        "model.layers",
        {"dense": {"units": 3}},
        "layers",
        ("model.layers: is a map", "a list of layers"),
    ),
    "nothing for a model": BadJob("model", None, "model", ("model: is missing", "give 'model'")),
    "negative count": BadJob(
        "train.batch_size", -3, "-3", ("train.batch_size: -3 is too small", "use 1 or more")
    ),
    "no units": BadJob(
        _layer(_DENSE, "dense.units"),
        0,
        '"units": 0',
        (r"layers\[5\].dense.units: 0 is too small", "use 1"),
    ),
    "units beyond 64 bits": BadJob(
        _layer(_DENSE, "dense.units"),
        10**23,
        "1" + "0" * 23,
        ("1" + "0" * 23, "64 bits", "smaller"),
    ),
    "units beyond any memory": BadJob(
        _layer(_DENSE, "dense.units"),
        2**62,
        "dense",
        (r"layers\[5\].dense", str(2**62), "use (smaller sizes|\\d+ or less)"),
    ),
    "filters that overflow": BadJob(
        _layer(0, "conv2d.filters"),
        2**31 - 1,
        "conv2d",
        (r"layers\[0\].conv2d: shape .*2147483647", "smaller sizes"),
    ),
    "an input that overflows": BadJob(
        "model.input_shape", [2**31 - 1] * 3, "input_shape", ("2147483647", "smaller sizes")
    ),
    "a negative dimension": BadJob(
        "model.input_shape", [8, -8, 1], "input_shape", ("dimension -8", "1 or more")
    ),
    "a huge batch": BadJob(
        "train.batch_size",
        2**40,
        str(2**40),
        ("train.batch_size: 1099511627776 is too large", "or less"),
    ),
    "huge epochs": BadJob(
        "train.epochs", 10**12, str(10**12), ("train.epochs: 1000000000000 is too large", "or less")
    ),
    "no steps": BadJob("train.steps", 0, "steps", ("train.steps: is int 0", "from 1 to")),
    "a negative seed": BadJob("train.seed", -1, "seed", ("train.seed: is int -1", "from 0 to")),
    "shards that are no power of two": BadJob(
        "train.shards", 6, "shards", ("train.shards: is int 6", "power of two")
    ),
    "infinite learning rate": BadJob(
        "optimizer",
        {"adam": {"learning_rate": 1e400}},
        "learning_rate",
        ("learning_rate: is string 'Infinity'", "a number"),
    ),
    "a rate above one": BadJob(
        _layer(3, "dropout.rate"), 1.5, "1.5", ("dropout.rate: 1.5 is too large", "use .* or less")
    ),
    "a time without unit": BadJob(
        "checkpoint", {"every": 60}, "every", ("checkpoint.every: is int 60", "like 60s")
    ),
    "a negative time": BadJob(
        "checkpoint", {"every": "-60s"}, "every", ("checkpoint.every: is string '-60s'", "like 60s")
    ),
    "memory that overflows": BadJob(
        "resources.memory",
        "99999999999999TiB",
        "memory",
        ("resources.memory: is string '99999999999999TiB'", "like 4GiB"),
    ),
    "a kernel larger than its input": BadJob(
        _layer(0, "conv2d.kernel_size"),
        9,
        "conv2d",
        (r"layers\[0\].conv2d: window of 9 .* input height 8", "padding"),
    ),
    "a pool larger than its input": BadJob(
        _layer(2, ""),
        {"max_pooling2d": {"pool_size": 7}},
        "max_pooling2d",
        (r"layers\[2\].max_pooling2d: window of 7", "reduce"),
    ),
    "an input of another shape": BadJob(
        "model.input_shape",
        [SIDE, SIDE, 3],
        "",
        ("data.train", r"\(8, 8, 1\)", r"\(8, 8, 3\)", "input_shape|give"),
    ),
}


class JobFiles(Refusals):
    """What can be wrong in the text of a job."""

    def setUp(self) -> None:
        super().setUp()
        self.good: Json = json.loads(self.make_small_job().read_text())

    def test_every_wrong_value_is_refused_where_it_stands(self) -> None:
        for name, bad in BAD_JOBS.items():
            with self.subTest(name):
                path = bad.path.rstrip(".")
                job = self.write_job(with_change(self.good, path, bad.value))
                said = self.assert_refusal(self.cli("run", job.name, expect=None), *bad.parts)
                place = re.match(r"error: job\.yaml:(?:(\d+):\d+:)? ", said)
                self.assertIsNotNone(place, said)
                if bad.line:
                    self.assertIn(
                        bad.line,
                        job.read_text().splitlines()[int(place[1]) - 1],
                        "the line it points to",
                    )
                self.assertFalse((self.dir / "out").exists())

    def test_every_text_that_is_no_job_is_refused(self) -> None:
        texts: dict[str, tuple[bytes, str]] = {
            "empty": (b"", "is empty"),
            "not UTF-8": (b"name: \xff\n", r"text.yaml:1:7: byte ff is not UTF-8"),
            "a control character": (b"name: a\x00b\n", r"text.yaml:1:8: control character 00"),
            "not YAML": (b"name: [a\n", "not YAML"),
            "a list": (b"- a\n", "is a list"),
            "a key twice": (b"name: a\nname: b\n", r"text.yaml:2:1: key 'name' is there twice"),
            "two documents": (b"name: a\n---\nname: b\n", "second document"),
            "billion laughs": (
                b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
                "anchors are not allowed",
            ),
            "deep nesting": (
                b"a: " + b"[" * 5000 + b"]" * 5000,
                r"text.yaml:1:\d+: nested deeper than \d+ levels",
            ),
            "deep nesting of maps": (b"{a: " * 5000 + b"1" + b"}" * 5000, "nested deeper than"),
            "many values": (b"a: [" + b"1," * 3_000_000 + b"1]", "too many|more than"),
            "many bytes": (b"# " + b"x" * (1 << 26), "bytes"),
            "a tag that makes objects": (
                b"a: !!python/object/apply:os.system [ls]\n",
                "tag .* is not allowed",
            ),
        }
        for name, (text, part) in texts.items():
            with self.subTest(name):
                (self.dir / "text.yaml").write_bytes(text)
                self.assert_refusal(self.cli("run", "text.yaml", expect=None), part)

    def test_every_path_that_is_no_job_file_is_refused(self) -> None:
        os.mkfifo(self.dir / "pipe")
        for name, part in {
            "absent.yaml": "No such file",
            ".": "not a regular file",
            "pipe": "not a regular file",
        }.items():
            with self.subTest(name):
                self.assert_refusal(
                    self.cli("run", name, expect=None), f"'{re.escape(name)}'", part
                )

    def test_options_are_checked_like_the_file(self) -> None:
        job = self.write_job(self.good)
        for options, part in {
            ("-n", "0"): "--workers: is 0",
            ("--threads", "-1"): "--threads: is -1",
            ("--steps", "0"): "--steps: is 0",
            ("--epochs", "-7"): "--epochs: is -7",
            ("--out", ""): "--out: is empty",
            ("-n", "many"): "--workers: is 'many'",
            ("-n", "1.5"): "--workers: is '1.5'",
            ("-n", "9" * 30): "--workers: is '9{30}'",
            ("--seed", "-1"): "--seed: is '-1'",
            ("--seed", "9" * 30): "--seed: is '9{30}'",
        }.items():
            with self.subTest(options=options):
                self.assert_refusal(self.cli("run", job.name, *options, expect=None), part)
        for options in (["--sed", "1"], ["--steps"]):
            with self.subTest(options=options):
                self.assertRegex(self.cli("run", job.name, *options, expect=2).err, r"--help")
        self.assertFalse((self.dir / "out").exists())

    def test_more_workers_than_shards_are_refused(self) -> None:
        job = self.write_job(self.good)
        done = self.cli("run", job.name, "-n", 9, expect=None)
        self.assert_refusal(
            done, "resources.workers: 9 workers for 8 shards of a batch of 20", "at most 8 workers"
        )

    def test_a_plan_that_does_not_fit_is_refused(self) -> None:
        job = self.write_job(with_change(self.good, "resources.memory", "10KiB"))
        self.assert_refusal(
            self.cli("run", job.name, expect=None),
            "resources.memory: a worker needs .*, 10.0 KiB",
            "smaller",
        )
        # Terabytes of weights, each layer of them below its own limit.
        wide = [{"dense": {"units": units}} for units in (50_000_000, 40) * 15]
        layers = [*self.good["model"]["layers"][:_DENSE], *wide, self.good["model"]["layers"][-1]]
        job = self.write_job(with_change(self.good, "model.layers", layers))
        self.assert_refusal(
            self.cli("run", job.name, expect=None),
            "resources.workers: 2 workers need .* this host has",
            "use ",
        )

    def test_a_wrong_simd_target_is_refused(self) -> None:
        job = self.write_job(self.good)
        done = self.cli("run", job.name, expect=None, LOCKSTEP_SIMD="sse9")
        self.assert_refusal(done, "LOCKSTEP_SIMD: 'sse9'", "use one of")


# Data


class Data(Refusals):
    """What can be wrong with the files that a job names."""

    def setUp(self) -> None:
        super().setUp()
        self.job: Json = json.loads(
            self.make_small_job(validation=0, test=0, samples=60).read_text()
        )
        self.pixels, self.labels = images(60, 1)

    def refuse(self, source: Json, *parts: str) -> None:
        """Training and validation data are looked at alike."""
        for place in ("train", "validation"):
            job = self.write_job(with_change(self.job, f"data.{place}", source))
            self.assert_refusal(self.cli("run", job.name, expect=None), f"data.{place}", *parts)
        self.assertFalse((self.dir / "out").exists())

    def idx(self, images: str = "train-images", labels: str = "train-labels") -> Json:
        """A source of two files."""
        return {"format": "idx", "inputs": images, "targets": labels}

    def npz(self, content: bytes, **more: str) -> Json:
        """A source of one archive."""
        (self.dir / "data.npz").write_bytes(content)
        return {"format": "npz", "path": "data.npz", "inputs": "x", "targets": "y", **more}

    def test_labels_outside_the_classes(self) -> None:
        write_idx(self.dir / "high", [60], self.labels[:41] + b"\x04" + self.labels[42:])
        self.refuse(
            self.idx(labels="high"), "sample 41 has label 4, outside 0 to 3", "one unit per class"
        )
        write_idx(self.dir / "low", [60], self.labels[:7] + b"\xff" + self.labels[8:], 0x09)
        self.refuse(
            self.idx(labels="low"), "sample 7 has label -1, outside 0 to 3", "correct the labels"
        )

    def test_counts_that_differ(self) -> None:
        write_idx(self.dir / "few", [59], self.labels[:59])
        self.refuse(
            self.idx(labels="few"),
            "'.*train-images'.* has 60 samples, but .*'.*few'.* has 59",
            "same samples",
        )

    def test_files_that_are_not_there_or_no_files(self) -> None:
        os.mkfifo(self.dir / "pipe")
        self.refuse(self.idx("absent"), "'.*/absent'", "No such file")
        self.refuse(self.idx("."), "not a regular file")
        self.refuse(self.idx("pipe"), "not a regular file")
        self.refuse(self.idx("/dev/zero"), "not a regular file")

    def test_empty_truncated_and_overlong_files(self) -> None:
        whole = (self.dir / "train-images").read_bytes()
        for name, content, part in (
            ("empty", b"", "is empty"),
            ("header", whole[:9], "ends after 9 bytes, inside the header"),
            ("short", whole[:-1], r"has 3859 bytes; .* makes 3860"),
            ("long", whole + b"x", r"has 3861 bytes; .* makes 3860"),
            ("none", b"\0\0\x08\x04" + struct.pack(">4I", 0, SIDE, SIDE, 1), "at least one sample"),
            ("huge", b"\0\0\x08\x04" + b"\xff" * 16, "."),
            ("text", b"hello, world", "an IDX file"),
        ):
            with self.subTest(name):
                (self.dir / name).write_bytes(content)
                self.refuse(self.idx(name), f"'.*/{name}'", part)

    def test_gzip_that_is_damaged_or_lies(self) -> None:
        whole = (self.dir / "train-images").read_bytes()
        packed = gzip.compress(whole)
        flipped = bytearray(packed)
        flipped[len(packed) // 2] ^= 0x55
        for name, content, part in (
            ("cut.gz", packed[:-20], "cut off|ends"),
            ("damaged.gz", bytes(flipped), "damaged"),
            (
                "more.gz",
                gzip.compress(whole + bytes(10_000_000)),
                "more than the 3860 bytes that its header promises",
            ),
            (
                "less.gz",
                gzip.compress(whole[:2000]),
                "holds 2000 bytes where its header promises 3860",
            ),
            (
                "bomb.gz",
                gzip.compress(b"\0\0\x08\x04" + struct.pack(">4I", 1 << 30, SIDE, SIDE, 1)),
                "promises 687",
            ),
            ("tail.gz", packed + b"tail", "follow the end of its gzip stream"),
        ):
            with self.subTest(name):
                (self.dir / name).write_bytes(content)
                self.refuse(self.idx(name), f"'.*/{name}'", part)
        cache = self.dir / "cache"
        left = [
            path.name for path in cache.rglob("*") if path.is_file() and path.stat().st_size > 0
        ]
        self.assertEqual(left, [], "the cache holds nothing of them")

    def test_npz_with_pickled_objects_and_other_oddities(self) -> None:
        x = npy("|u1", (60, SIDE, SIDE, 1), self.pixels)
        y = npy("|u1", (60,), self.labels)
        pickled = npy("|O", (60,), b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR.")
        self.refuse(
            self.npz(npz({"x": pickled, "y": y})), "data.npz'.*'x'", "(pickled|Python) objects"
        )
        self.refuse(self.npz(npz({"x": x, "z": y})), "no array 'y' in '.*data.npz'", "'z'|known")
        self.refuse(self.npz(npz({"x": x, "y": y[:-1]})), "data.npz'.*'y'")
        self.refuse(
            self.npz(npz({"x": x, "y": npy("<c8", (60,), bytes(480))})), "data.npz'.*'y'.*c8"
        )
        self.refuse(
            self.npz(npz({"x": x, "y": y.replace(b"False", b"True ")})),
            "data.npz'.*'y'.*Fortran order",
        )
        self.refuse(self.npz(npz({"x": x, "y": y})[:-30]), "data.npz'")
        self.refuse(self.npz(b"PK\x03\x04" + bytes(100)), "data.npz'")
        self.refuse(
            {**self.npz(npz({"x": x, "y": y})), "input": "x"}, "input: unknown option", "'inputs'"
        )

    @unittest.skipUnless(os.geteuid() == 0, "as root: another user's permissions")
    def test_files_that_may_not_be_read(self) -> None:
        user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        if (
            subprocess.run([*user, str(OPTIONS.cli), "version"], capture_output=True).returncode
            != 0
        ):
            self.skipTest(f"user 65534 may not run {OPTIONS.cli}")
        (self.dir / "secret").write_bytes((self.dir / "train-images").read_bytes())
        (self.dir / "secret").chmod(0)
        job = self.write_job(with_change(self.job, "data.train.inputs", "secret"))
        self.dir.chmod(0o755)
        done = self.command([*user, *self.cli_command("run", job.name)], expect=None)
        self.assert_refusal(done, "data.train", "'.*/secret'", "Permission denied", "read")
        job = self.write_job(self.job)
        done = self.command([*user, *self.cli_command("run", job.name)], expect=None)
        self.assert_refusal(
            done, "output.directory '.*/out' cannot be made", "Permission denied", "--out"
        )


class NotFinite(lockstep.Case):
    """Values that appear while training: exit code 1, the first layer and sample by name."""

    def make_float_job(self, **changes: Any) -> Path:
        """The small job on floats of which one is NaN, and is met in step 3."""
        job: Json = json.loads(self.make_small_job(test=0, shuffle=False).read_text())
        values = [float(byte) for byte in images(290, 1)[0]]
        values[41 * PIXELS + 5] = float("nan")
        write_idx(
            self.dir / "floats",
            [290, SIDE, SIDE, 1],
            struct.pack(f">{len(values)}f", *values),
            0x0D,
        )
        for path, value in changes.items():
            job = with_change(job, path.replace("__", "."), value)
        return self.write_job(job)

    def assert_fails(self, job: Path, *parts: str) -> None:
        """Both ways of running say the same; the CLI with exit code 1."""
        out = self.out("out")
        done = self.cli("run", job, "--out", out, "-n", 3, expect=1)
        for part in (*parts, "NON_FINITE", "hint: "):
            self.assertRegex(done.err, part)
        self.assertEqual(done.out, "")
        self.assertFalse((out / "result.json").exists())
        self.assertEqual(len(list(out.glob("logs/*"))), 1, "it is not tried again")
        shutil.rmtree(out)
        done = self.bare(2, "--job", job, "--out", out, expect=67)
        for part in parts:
            self.assertEqual(len(re.findall(part, done.err)), 1, f"one rank says it\n{done}")
        shutil.rmtree(out)  # a checkpoint that was being written goes with the next attempt

    def test_nan_in_the_data_names_layer_and_sample(self) -> None:
        job = self.make_float_job(data__train__inputs="floats")
        self.assert_fails(
            job, "step 3: 'input_layer/decode' gives a value that is not finite for sample 41;"
        )

    def test_nan_in_validation_data_names_layer_and_sample(self) -> None:
        floats = {"format": "idx", "inputs": "floats", "targets": "train-labels"}
        job = self.make_float_job(data__validation=floats)
        self.assert_fails(
            job, "val_loss: 'input_layer/decode' gives a value that is not finite for sample 41;"
        )

    def test_a_diverging_learning_rate_names_layer_and_sample(self) -> None:
        job = self.make_float_job(optimizer={"sgd": {"learning_rate": 1e30}})
        where = r"step \d+: '\w+/\w+' gives a value that is not finite for sample \d+;"
        self.assert_fails(job, where + ".*lower the learning rate")


# Output directories and checkpoints


def snapshot(directory: Path) -> dict[str, bytes]:
    """Every file below a directory."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


class Outputs(Refusals):
    """What an output directory may hold. Everything that is refused leaves it as it is."""

    def setUp(self) -> None:
        super().setUp()
        self.job = self.make_small_job(epochs=2)
        self.trained = self.out("trained")
        shutil.copytree(self.undisturbed(self.job), self.trained)

    def train_here(self) -> None:
        """For what resumes: where the data lies belongs to a job."""
        shutil.rmtree(self.trained)
        self.cli("run", self.job, "--out", self.trained)

    def refuse(
        self, out: Path, *options: str, parts: tuple[str, ...], bare_too: bool = False
    ) -> None:
        """By the CLI, and perhaps by a bare worker in the same words."""
        before = snapshot(out) if out.is_dir() else {}
        said = self.assert_refusal(
            self.cli("run", self.job.name, "--out", out, *options, expect=None), *parts
        )
        if bare_too:
            bare = self.bare(2, "--job", self.job.name, "--out", out, *options, expect=None)
            self.assertIn(bare.code, (65, 66), str(bare))
            self.assertIn(
                said.removeprefix("error: ").removeprefix("job.yaml: ").split("\nhint: ")[0],
                bare.err,
            )
        self.assertEqual(snapshot(out) if out.is_dir() else {}, before, "what was there")

    def test_a_directory_that_cannot_be_made(self) -> None:
        (self.dir / "file").write_text("precious")
        self.refuse(self.dir / "file", parts=("output.directory '.*/file' cannot be made", "--out"))
        self.refuse(
            self.dir / "file/below",
            parts=("output.directory '.*/file/below' cannot be made", "--out"),
        )
        self.refuse(
            Path("/proc/absent"), parts=("output.directory '/proc/absent' cannot be made", "--out")
        )
        self.assertEqual((self.dir / "file").read_text(), "precious")

    def test_a_finished_result(self) -> None:
        self.refuse(
            self.trained, parts=("holds a finished result", "--out.*--resume"), bare_too=True
        )

    def test_checkpoints_of_an_unfinished_run(self) -> None:
        (self.trained / "result.json").unlink()
        self.refuse(
            self.trained,
            parts=("holds checkpoints up to step 30", "--resume.*--out"),
            bare_too=True,
        )

    def test_checkpoints_of_another_job(self) -> None:
        self.train_here()
        good: Json = json.loads(self.job.read_text())
        for path, value, part in (
            ("model.layers.5.dense.units", 13, "'models'"),
            ("train.seed", 6, "'train.seed'|'train'"),
            ("optimizer", "sgd", "'optimizer"),
        ):
            with self.subTest(path):
                self.job = self.write_job(with_change(good, path, value))
                self.refuse(
                    self.trained, "--resume", parts=("belongs to another job", part, "resume")
                )

    def test_checkpoints_of_other_data(self) -> None:
        self.train_here()
        labels = self.dir / "train-labels"
        content = labels.read_bytes()
        labels.write_bytes(content[:-1] + bytes([(content[-1] + 1) % 4]))
        self.refuse(self.trained, "--resume", parts=("made from other data", "restore the data"))

    def test_checkpoints_of_another_numerics_version(self) -> None:
        newest = self.trained / "checkpoints" / f"step-{checkpoint_steps(self.trained)[0]}"
        subprocess.run([OPTIONS.edit_manifest, newest, "numerics_version", "999"], check=True)
        self.refuse(
            self.trained,
            "--resume",
            parts=("numerics_version 999, this build has \\d+", "the build that made it"),
            bare_too=True,
        )

    def test_checkpoints_beyond_the_last_step(self) -> None:
        self.train_here()
        self.refuse(
            self.trained,
            "--resume",
            "--steps",
            "7",
            parts=("step-30'.* ends after step 7", "--steps or --epochs"),
        )

    def damage(self, step: int, name: str = "values.safetensors") -> None:
        """Flips a bit."""
        path = self.trained / "checkpoints" / f"step-{step}" / name
        content = bytearray(path.read_bytes())
        content[len(content) * 3 // 4] ^= 1
        path.write_bytes(content)

    def test_all_checkpoints_damaged(self) -> None:
        for step, name in zip(
            checkpoint_steps(self.trained),
            ("values.safetensors", "optimizer.safetensors", "MANIFEST"),
        ):
            self.damage(step, name)
        parts = (
            "no checkpoint is sound",
            "do not match their checksum",
            "written by rank",
            "to start anew",
        )
        self.refuse(self.trained, "--resume", parts=parts, bare_too=True)

    def test_the_newest_checkpoint_damaged(self) -> None:
        self.train_here()
        reference = self.out("straight")
        self.cli("run", self.job, "--out", reference, "--epochs", 4)
        newest, before, *_ = checkpoint_steps(self.trained)
        self.damage(newest)
        done = self.cli("run", self.job, "--out", self.trained, "--resume", "--epochs", 4)
        self.assertRegex(
            done.err, f"checkpoint_rejected .*step-{newest}.*do not match their checksum"
        )
        self.assertIn(f"resuming from step {before}", done.err)
        self.assert_same_run(self.trained, reference)


if __name__ == "__main__":
    lockstep.main()
