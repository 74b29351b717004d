"""Runs the measurements, each in a folder of its own, and prints every round, the medians and the targets."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path

import click

from . import history, measures, postgres

MEASURES = {
    "drain": measures.drain,
    "wake": measures.wake,
    "submit": measures.submit,
    "token": measures.token,
    "idle": measures.idle,
    "drain_postgres": postgres.drain_postgres,
    "wake_postgres": postgres.wake_postgres,
    "history": history.history,
    "delayed": history.delayed,
}

TARGETS = {
    "drain_jobs_per_s": (">=", 10_000.0),
    "submit_to_running_p50_ms": ("<=", 3.0),
    "submit_idle_p50_ratio": ("<=", 1.5),
    "submit_draining_p99_ms": ("<=", 10.0),
    "token_to_client_p50_ms": ("<=", 60.0),
    "idle_cpu_percent": ("<=", 1.0),
    "idle_memory_mb": ("<=", 60.0),
    "postgres_drain_ratio": (">=", 1.0),
    "postgres_submit_to_running_p50_ms": ("<=", 5.0),
    "sqlite_claim_history_ratio": ("<=", 1.1),
    "postgres_claim_history_ratio": ("<=", 1.1),
    "sqlite_count_ms": ("<=", 5.0),
    "postgres_count_ms": ("<=", 5.0),
}
"""Hold for a machine of two cores like the one described in docs/benchmarks.md; ratios hold everywhere."""


@click.command()
@click.argument("names", nargs=-1, type=click.Choice(list(MEASURES)))
@click.option("--rounds", default=3, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(names: tuple[str, ...], rounds: int, as_json: bool) -> None:
    figures: dict[str, list[float]] = {}
    for number in range(rounds):
        for name in ("calibrate", *(names or MEASURES)):
            measure = MEASURES.get(name, measures.calibrate)
            with tempfile.TemporaryDirectory(prefix="backburner-bench-") as folder:
                for figure, value in measure(Path(folder)).items():
                    figures.setdefault(figure, []).append(value)
                    print(f"round {number + 1}  {figure:36} {value:12.3f}", file=sys.stderr, flush=True)
    medians = {figure: statistics.median(values) for figure, values in figures.items()}
    if as_json:
        click.echo(json.dumps({"rounds": figures, "medians": medians}))
        return
    click.echo(f"\n{'median of ' + str(rounds):36} {'':12}  target")
    for figure, value in medians.items():
        click.echo(f"{figure:36} {value:12.3f}  {_verdict(figure, value)}")


def _verdict(figure: str, value: float) -> str:
    if figure not in TARGETS:
        return ""
    sign, target = TARGETS[figure]
    reached = value >= target if sign == ">=" else value <= target
    return f"{sign} {target:g}  {'reached' if reached else 'MISSED'}"


if __name__ == "__main__":
    main()
