"""How far what jobs are told about their end is from what comes, over many loads: python -m tests.support.sweep"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import get_args

import click

from backburner.store.sqlite import SQLite
from backburner.store.store import SQLStore

from .plant import Occasion, Plant, office

OWNERS = ("ann", "bob", "cid", "dan")
URGENT = 0.2
JOBS = 300
WARM_UP = 30
"""Jobs of a plant, and those of them with which it begins to measure."""
JOB = 18.74
"""Seconds that a job of the office takes on average: of names there are 3.5 times as many as of summaries."""

COLUMNS: Sequence[tuple[Occasion, float | None]] = tuple(
    (occasion, waited) for occasion in get_args(Occasion) for waited in (None, 0.0, JOB)
)
Load = tuple[float, int, float, int]
"""Utilisation, slots, scatter, seed."""


def run(folder: Path, utilisation: float, slots: int, scatter: float, seed: int, limit: int | None = None) -> Plant:
    store = SQLStore(SQLite(str(folder / f"{utilisation} {slots} {scatter} {seed} {limit}.db")), lambda hint: None)
    sizes = (slots,) if slots == 1 else (slots // 2, slots - slots // 2)
    kinds = office(utilisation, slots, scatter, limit)
    try:
        plant = Plant(store, kinds, sizes, OWNERS, seed, URGENT)
        plant.run(JOBS * JOB / (utilisation * slots))
    finally:
        store.close()
    return plant


def warm(utilisation: float, slots: int) -> float:
    """Seconds after which it is measured."""
    return WARM_UP * JOB / (utilisation * slots)


def measure(load: Load) -> tuple[Load, dict[tuple[Occasion, float | None], list[float]]]:
    """The errors at each occasion, of all, of those that wait, and of those that waited longer than a job takes."""
    with TemporaryDirectory() as folder:
        plant = run(Path(folder), *load)
    after = warm(load[0], load[1])
    return load, {key: plant.errors(key[0], after=after, waited=key[1]) for key in COLUMNS}


def told(errors: Sequence[float]) -> str:
    if len(errors) < 20:
        return f"{'–':>15}"
    return f"{median(abs(each) for each in errors):8.2f} {median(errors):+6.2f}"


@click.command()
@click.option("--seeds", default=4, show_default=True)
@click.option("--scatter", default=(0.1, 0.25, 0.5), multiple=True, show_default=True)
@click.option("--slots", default=(1, 2, 4, 8), multiple=True, show_default=True)
@click.option("--utilisation", default=(0.5, 0.7, 0.9, 0.95), multiple=True, show_default=True)
def main(seeds: int, scatter: Sequence[float], slots: Sequence[int], utilisation: Sequence[float]) -> None:
    """The median of the error, and whether it is too much (+) or too little (-)."""
    loads = [(u, n, s, seed) for s in scatter for n in slots for u in utilisation for seed in range(seeds)]
    click.echo(f"{'':18} | {'at submit':47} | half-way")
    click.echo(f"scatter slots load | {' '.join([f'{name:>15}' for name in ('all', 'waiting', 'long')] * 2)}")
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = pool.map(measure, loads)
        for (u, n, s), group in itertools.groupby(found, key=lambda each: each[0][:3]):
            rows = [errors for _, errors in group]
            columns = [told([error for row in rows for error in row[key]]) for key in COLUMNS]
            click.echo(f"{s:7.2f} {n:5} {u:4.2f} | {' '.join(columns[:3])} | {' '.join(columns[3:])}")


if __name__ == "__main__":
    main()
