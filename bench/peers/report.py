"""What the turns say: medians, ratios of the same round with their intervals, Markdown and JSON."""

import json
import random
import statistics
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

RESAMPLES = 4000


@dataclass
class Turns:
    """One contender's rounds."""

    name: str
    versions: dict[str, str]
    losses_apart: float | None  # None: not comparable
    seconds: list[float]  # of a step, by round
    peak_kib: int = 0


@dataclass
class CaseResult:
    """One case; `skipped` says why it could not be held."""

    name: str
    job: str
    batch: int
    ranks: int
    facts: dict = field(default_factory=dict)  # of bench_step
    turns: list[Turns] = field(default_factory=list)  # ours first
    left_out: list[str] = field(default_factory=list)
    skipped: str = ""


def ratio(theirs: list[float], ours: list[float]) -> tuple[float, float, float]:
    """The median of the rounds' ratios, and the middle 95 % of it under resampling of rounds."""
    ratios = [a / b for a, b in zip(theirs, ours)]
    rng = random.Random(1)
    medians = sorted(
        statistics.median(rng.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES)
    )
    return (
        statistics.median(ratios),
        medians[int(0.025 * RESAMPLES)],
        medians[int(0.975 * RESAMPLES) - 1],
    )


def rows(result: CaseResult) -> list[dict]:
    """One per contender, fastest peer first behind ours."""
    ours = result.turns[0].seconds
    roof = result.facts["roof_flops"] * result.ranks
    limit = result.facts["steps"][0]["flops"] / roof
    found = []
    for turns in result.turns:
        middle = statistics.median(turns.seconds)
        low_middle_high = ratio(turns.seconds, ours)
        found.append(
            {
                "name": turns.name,
                "ms": middle * 1e3,
                "best_ms": min(turns.seconds) * 1e3,
                "samples_per_second": result.batch / middle,
                "ratio": low_middle_high[0],
                "ratio_low": low_middle_high[1],
                "ratio_high": low_middle_high[2],
                "efficiency": limit / middle,
                "peak_mib": turns.peak_kib / 1024,
                "losses_apart": turns.losses_apart,
            }
        )
    return [found[0], *sorted(found[1:], key=lambda row: row["ms"])]


def _table(result: CaseResult) -> list[str]:
    facts = result.facts
    limit = facts["steps"][0]["flops"] / (facts["roof_flops"] * result.ranks)
    ranks = f", {result.ranks} ranks" if result.ranks > 1 else ""
    lines = [
        f"## {result.name}: `{result.job}`, batch {result.batch}{ranks}",
        "",
        f"FMA roof {facts['roof_flops'] / 1e9:.0f} GFLOP/s a core in this run; the step's limit is "
        f"{limit * 1e3:.2f} ms.",
        "",
        "| | ms a step | best | samples/s | times ours (95 %) | efficiency | peak MiB | losses |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows(result):
        ratio_text = f"{row['ratio']:.2f} ({row['ratio_low']:.2f} to {row['ratio_high']:.2f})"
        apart = row["losses_apart"]
        lines.append(
            f"| {row['name']} | {row['ms']:.2f} | {row['best_ms']:.2f} "
            f"| {row['samples_per_second']:.0f} | {ratio_text} | {row['efficiency']:.0%} "
            f"| {row['peak_mib']:.0f} | {'–' if apart is None else f'{apart:.0e}'} |"
        )
    return lines


def write(results: list[CaseResult], out: Path, arguments: list[str]) -> None:
    """OUT.md for people, OUT.json for the next comparison."""
    held = [result for result in results if result.turns]
    versions = {key: v for r in held for turns in r.turns for key, v in turns.versions.items()}
    lines = [
        "# Lockstep and its peers",
        "",
        f"{datetime.now(UTC):%F}, `bench/peers/run.sh {' '.join(arguments)}`.",
    ]
    if held:
        lines += [
            held[0].facts["machine"] + ".",
            ", ".join(f"{name} {version}" for name, version in sorted(versions.items())) + ".",
        ]
    lines += [
        "",
        "One thread on one core a rank. All train the same job from the same weights on the same "
        "batches with Adam; contenders take turns in random order. Columns: the median step and "
        "the best turn's; the median over rounds of the contender's step over ours in the same "
        "round, and what 95 % of resampled rounds give; FLOPs the model needs against the FMA "
        "roof; the largest process; how far the losses of the first steps are from ours.",
    ]
    for result in results:
        lines += [""]
        if result.skipped:
            lines += [f"## {result.name}", "", f"Skipped: {result.skipped}."]
        else:
            lines += _table(result)
        lines += [f"\nLeft out: {line}." for line in result.left_out]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    content = [asdict(r) | {"rows": rows(r) if r.turns else []} for r in results]
    out.with_suffix(".json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
