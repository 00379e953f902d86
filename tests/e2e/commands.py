"""Every command of the CLI: what people read, what scripts read, what a terminal shows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import lockstep
from jobs import Json, with_change
from lockstep import OPTIONS, checkpoint_steps
from programs import wait_until

COMMANDS = ("describe", "evaluate", "inspect", "plan", "run", "validate", "version")
PARAMETERS = 552  # of the small model: 40 + 16 + 444 + 52
NOT_TRAINABLE = 8  # the moving statistics
COLOR = re.compile(r"\x1b\[\d*m")


class Commands(lockstep.Case):
    """With one trained model for all tests."""

    def setUp(self) -> None:
        super().setUp()
        self.job = self.make_small_job()
        self.trained = self.undisturbed(self.job)

    def json_of(self, *args: Any, **more: Any) -> Any:
        """What a command prints for scripts; nothing but one document."""
        return json.loads(self.cli(*args, "--json", **more).out)

    def test_every_help_has_an_example(self) -> None:
        for command in COMMANDS:
            done = self.cli(command, "--help")
            self.assertRegex(
                done.out, rf"\nExample: lockstep {command}\b", "so that nobody must guess"
            )
            self.assertEqual(done.err, "")
        whole = self.cli("--help").out
        for command in COMMANDS:
            self.assertRegex(whole, rf"\n  {command} +\w")
        self.assertIn("Example: ", self.command([str(OPTIONS.worker), "--help"]).out)

    def test_wrong_words_are_refused_with_the_nearest(self) -> None:
        self.assertRegex(
            self.cli("trian", expect=2).err,
            r"\Aerror: no command is called 'trian'\nhint: known: .*\brun\b",
        )
        self.assertRegex(self.cli("validat", "x", expect=2).err, "hint: did you mean 'validate'")
        self.assertRegex(self.cli(expect=2).err, "--help")
        self.assertRegex(
            self.cli("describe", "layer", "conv2", expect=2).err,
            "'conv2'\nhint: did you mean 'conv2d'",
        )
        for command in COMMANDS:
            self.assertRegex(self.cli(command, "--no-such-option", expect=2).err, "--help")
        self.command([str(OPTIONS.worker), "--no-such-option"], expect=65)

    def test_version(self) -> None:
        version = self.json_of("version")
        self.assertEqual(set(version), {"version", "numerics_version"})
        text = self.cli("version").out
        self.assertEqual(
            text, f"lockstep {version['version']}, numerics {version['numerics_version']}\n"
        )
        self.assertEqual(self.cli("--version").out, f"lockstep {version['version']}\n")
        self.assertEqual(
            self.command([str(OPTIONS.worker), "--version"]).out,
            f"lockstep-worker {version['version']}\n",
        )

    def test_validate_tells_what_a_job_will_need(self) -> None:
        done = self.cli("validate", self.job)
        self.assertFalse((self.dir / "out").exists(), "it looks and leaves nothing")
        self.assertRegex(done.out, r"conv2d +conv2d +\(6, 6, 4\) +40 +\S+ k +input_layer\n")
        trainable = f"{PARAMETERS - NOT_TRAINABLE} trainable, {NOT_TRAINABLE} not"
        self.assertIn(f"parameters: {PARAMETERS} ({trainable})", done.out)
        for row in (
            r"samples +290 to train, 90 to validate, 70 to test",
            r"batch +20 samples in 8 shards",
            r"steps +15 per epoch",
            r"workers +2 x 1 threads",
            r"memory +\S+ KiB per worker",
            r"gradients +\S+ KiB per step",
        ):
            self.assertRegex(done.out, rf"\n{row}")
        facts = self.json_of("validate", self.job, "-n", 3)
        self.assertEqual(
            set(facts),
            {
                "name",
                "models",
                "samples",
                "validation_samples",
                "test_samples",
                "data_hash",
                "batch_size",
                "shards",
                "steps_per_epoch",
                "workers",
                "threads",
                "memory_bytes_per_worker",
                "gradient_bytes_per_step",
                "output_directory",
            },
        )
        self.assertEqual((facts["workers"], facts["shards"], facts["steps_per_epoch"]), (3, 8, 15))
        self.assertEqual(facts["data_hash"], self.result(self.trained)["data_hash"])
        self.assertGreater(facts["memory_bytes_per_worker"], PARAMETERS * 4)

    def test_plan_lists_every_call_and_all_memory(self) -> None:
        plan = self.json_of("plan", self.job)
        self.assertEqual(set(plan), {"roofs", "phases", "buffers", "arena_bytes", "bytes"})
        self.assertEqual([phase["name"] for phase in plan["phases"]][:1], ["train"])
        calls = plan["phases"][0]["calls"]
        described = {"index", "label", "kind", "shapes", "flops", "bytes", "bound_by"}
        self.assertEqual(set(calls[0]), described | {"expected_seconds"})
        forward = next(call for call in calls if call["flops"] > 0)
        self.assertIn(forward["bound_by"], ("FMA", "memory"))
        self.assertGreater(forward["expected_seconds"], 0)
        self.assertEqual({call["kind"] for call in calls}, {"kernel", "collective"})
        self.assertGreaterEqual(
            plan["bytes"], plan["arena_bytes"] + sum(buffer["bytes"] for buffer in plan["buffers"])
        )
        text = self.cli("plan", self.job, "-n", 2, "--rank", 1).out
        for label in (call["label"] for call in calls):
            self.assertIn(label, text)
        self.assertRegex(
            self.cli("plan", self.job, "--rank", 2, expect=2).err,
            "--rank 2 of 2 workers\nhint: use 0 to 1",
        )

    def test_plan_measures_what_each_call_takes(self) -> None:
        plan = self.json_of("plan", self.job, "-n", 1, "--measure", "--sort", "time")
        seconds = [call["measured_seconds"] for call in plan["phases"][0]["calls"]]
        self.assertEqual(seconds, sorted(seconds, reverse=True))
        self.assertGreater(seconds[-1], 0)
        step = plan["step"]
        self.assertAlmostEqual(step["calls_seconds"], sum(seconds), delta=1e-9)
        self.assertLess(step["calls_seconds"], 2 * step["seconds"])
        text = self.cli("plan", self.job, "-n", 1, "--measure").out
        self.assertIn("overhead: walking the lists", text)

    def test_describe_documents_every_option(self) -> None:
        names: dict[str, set[str]] = {}
        for room in ("layers", "optimizers", "losses", "initializers", "formats", "programs"):
            entries = self.json_of("describe", room)
            names[room] = {entry["name"] for entry in entries}
            text = self.cli("describe", room).out
            for entry in entries:
                self.assertEqual(set(entry), {"name", "summary", "options"})
                self.assertIn(f"{entry['name']}: {entry['summary']}\n", text)
                self.assertEqual(self.json_of("describe", room, entry["name"]), [entry])
                for option in entry["options"]:
                    self.assertLessEqual({"name", "type", "required", "help"}, set(option))
                    self.assertEqual("default" in option, not option["required"])
                    self.assertNotEqual(option["help"], "", f"{entry['name']}.{option['name']}")
        wanted = {
            "conv2d",
            "max_pooling2d",
            "average_pooling2d",
            "global_average_pooling2d",
            "flatten",
            "reshape",
            "dense",
            "dropout",
            "batch_normalization",
            "add",
            "concatenate",
            "activation",
        }
        self.assertLessEqual(wanted, names["layers"])
        self.assertLessEqual({"sgd", "adam"}, names["optimizers"])
        self.assertLessEqual({"idx", "npz"}, names["formats"])
        self.assertLessEqual({"supervised"}, names["programs"])

    def test_inspect_shows_and_verifies(self) -> None:
        digest = self.result(self.trained)["model_sha256"]
        model = self.trained / "model.safetensors"
        newest = self.trained / "checkpoints" / f"step-{checkpoint_steps(self.trained)[0]}"
        for path, kind in ((model, "model"), (newest, "checkpoint")):
            shown = self.json_of("inspect", path)
            self.assertEqual((shown["kind"], shown["model_sha256"]), (kind, digest))
            self.assertIn(f"model sha256 {digest}", self.cli("inspect", path).out)
        self.assertEqual(self.json_of("inspect", newest)["step"], 45)
        copy = self.dir / "copy.safetensors"
        content = bytearray(model.read_bytes())
        content[-1] ^= 1
        copy.write_bytes(content)
        changed = self.cli("inspect", copy, expect=1)
        self.assertIn("NOT what the file says", changed.out)
        self.assertRegex(changed.err, "error: .*copy.safetensors: the variables were changed")
        copy.write_bytes(content[:-5])
        self.assertRegex(self.cli("inspect", copy, expect=1).err, "error: .*copy.safetensors")
        self.assertRegex(
            self.cli("inspect", self.dir / "absent", expect=2).err, "error: .*absent.*No such file"
        )

    def test_evaluate_finds_the_metrics_of_the_run_with_any_workers(self) -> None:
        result = self.result(self.trained)
        expected = {
            name: value for name, value in result["metrics"].items() if name.startswith("test_")
        }
        self.assertEqual(set(expected), {"test_loss", "test_accuracy"})
        model = self.trained / "model.safetensors"
        for workers in (1, 2, 3, 5):
            found = self.json_of("evaluate", self.job, model, "-n", workers)
            self.assertEqual(found["metrics"], expected, "to the last bit")
            self.assertEqual(found["model_sha256"], result["model_sha256"])
        text = self.cli("evaluate", self.job, model).out
        self.assertIn(f"test_loss {expected['test_loss']:.6f}\n", text)
        self.assertEqual(text.splitlines()[-1], f"model sha256 {result['model_sha256']}")

    def test_evaluate_takes_validation_data_where_there_is_no_test(self) -> None:
        job: Json = json.loads(self.job.read_text())
        del job["data"]["test"]
        found = self.json_of("evaluate", self.write_job(job), self.trained / "model.safetensors")
        metrics = self.result(self.trained)["metrics"]
        self.assertEqual(
            found["metrics"], {name: metrics[name] for name in ("val_loss", "val_accuracy")}
        )
        del job["data"]["validation"]
        refused = self.cli(
            "evaluate", self.write_job(job), self.trained / "model.safetensors", expect=2
        )
        self.assertRegex(refused.err, "neither 'test' nor 'validation'.*\nhint: add one")

    def test_evaluate_refuses_a_model_of_another_shape(self) -> None:
        job = self.write_job(
            with_change(json.loads(self.job.read_text()), "model.layers.5.dense.units", 13)
        )
        refused = self.cli("evaluate", job, self.trained / "model.safetensors", expect=2)
        self.assertRegex(
            refused.err,
            r"'dense/kernel' has shape \(36, 12\), in this job \(36, 13\)\nhint: give a model",
        )
        self.assertRegex(
            self.cli("evaluate", self.job, self.dir / "absent", expect=2).err,
            "absent.*No such file",
        )

    def test_run_prints_the_result_for_scripts(self) -> None:
        out = self.out("out")
        done = self.cli("run", self.job, "--out", out, "--json")
        self.assertEqual(done.out, (out / "result.json").read_text())
        self.assertLessEqual(
            {
                "state",
                "model_sha256",
                "numerics_version",
                "steps",
                "epochs",
                "metrics",
                "seconds",
                "samples_per_second",
                "workers",
                "threads",
                "simd",
                "version",
            },
            set(json.loads(done.out)),
        )

    def test_a_worker_alone_is_a_run_of_one(self) -> None:
        out = self.out("alone")
        done = self.command([str(OPTIONS.worker), "--job", str(self.job), "--out", str(out)])
        self.assertRegex(done.err, r"epoch 1: loss \d.*\n(.*\n)*test_loss ")
        self.assert_same_run(out, self.trained)


class Display(lockstep.Case):
    """What `lockstep run` shows while it runs."""

    def setUp(self) -> None:
        super().setUp()
        self.job = self.make_small_job(samples=3050, batch_size=160, filters=32, epochs=20)

    def test_a_file_gets_one_line_for_each_epoch(self) -> None:
        done = self.cli("run", self.job, "--out", self.out("out"), "--epochs", 3)
        lines = done.err.splitlines()
        heading = (
            r"^small: 3,050 samples, batch 160 in 8 shards, 2 workers x 1 threads, [\d,]+ param"
        )
        self.assertRegex(lines[0], heading)
        epoch = (
            r"^Epoch {}/3 - \d+s - loss: \S+ - accuracy: \S+ - val_loss: \S+ - val_accuracy: \S+$"
        )
        self.assertEqual(len(lines), 4, done.err)
        for number, line in enumerate(lines[1:], 1):
            self.assertRegex(line, epoch.format(number))
        self.assertNotIn("\x1b", done.err + done.out)
        metrics = r"test_loss \S+\ntest_accuracy \S+\n"
        end = r"model \S+\ntrained \d+ steps in .*\nmodel sha256 [0-9a-f]{64}\n"
        self.assertRegex(done.out, rf"\A{metrics}{end}\Z")

    def shown(self, out: Path, columns: int, *options: Any, **more: str) -> str:
        """All that a terminal shows of a run to its end."""
        terminal = self.terminal("run", self.job, "--out", out, *options, columns=columns, **more)
        self.assertEqual(terminal.wait(60), 0, terminal.shown)
        return terminal.shown

    def test_a_terminal_gets_live_progress_that_fits(self) -> None:
        figures = r"ETA [\d:s]+ - loss: [\d.e-]+ - accuracy: [\d.]+ - [\d.]+( [kM])? samples/s"
        live = re.compile(rf"\r\x1b\[K(\d+)/20 [━─]+ {figures}")
        for columns in (160, 80):
            with self.subTest(columns=columns):
                shown = self.shown(self.out(f"out{columns}"), columns)
                self.assertRegex(shown, live)
                self.assertRegex(shown, r"Epoch 1/20\r\n")
                self.assertRegex(
                    shown, r"\r\x1b\[K20/20 ━+ \d+s - loss: .* - val_accuracy: \S+\r\n"
                )
                for line in re.split(r"\r\x1b\[K|\r\n", shown):
                    if line.count("/s") == 1:
                        self.assertLess(
                            len(line), columns, "it would wrap, and be drawn again below"
                        )

    def test_colors_are_for_terminals_that_want_them(self) -> None:
        options = [
            "-n",
            3,
            "--epochs",
            1,
        ]  # more workers than cores here or there: a warning, in yellow
        crowded = (
            len(
                self.cli("run", self.job, "--out", self.out("plain"), *options).err.split(
                    "warning: "
                )
            )
            > 1
        )
        if not crowded:
            self.skipTest("three cores or more: there is no warning to colour")
        self.assertRegex(self.shown(self.out("colored"), 160, *options), COLOR)
        self.assertNotRegex(self.shown(self.out("no-color"), 160, *options, NO_COLOR="1"), COLOR)
        self.assertRegex(self.shown(self.out("empty"), 160, *options, NO_COLOR=""), COLOR)
        self.assertNotIn("\x1b", self.shown(self.out("dumb"), 160, *options, TERM="dumb"))

    def test_a_death_is_told_and_recovered_from(self) -> None:
        terminal = self.terminal("run", self.make_paced_job(0.6), "--out", self.out("out"))
        wait_until(lambda: terminal.read() or checkpoint_steps(self.dir / "out"), "a checkpoint")
        self.processes("worker")[-1].kill()
        self.assertEqual(terminal.wait(60), 0, terminal.shown)
        self.assertRegex(
            terminal.shown,
            r"attempt 1 ended at step \d+: a process was killed by signal 9; going on",
        )
        self.assertRegex(terminal.shown, r"resuming from step \d+\r\n")


if __name__ == "__main__":
    lockstep.main()
