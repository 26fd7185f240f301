"""Windows with and without drift, the same in every environment. Needs numpy alone."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

PAIR_ROWS = (500, 5_000)
"""Evidently chooses other methods beyond 1,000 rows."""

_DRAW = dict[str, Callable[[Generator, int], NDArray[np.generic]]]


class Pair(NamedTuple):
    """A feature in training and in a window."""

    name: str
    reference: NDArray[np.generic]
    current: NDArray[np.generic]


def window(
    rows: int, features: int, seed: int, shift: float = 0.0
) -> dict[str, NDArray[np.float64]]:
    """Return normally distributed features, half of them shifted by so many standard deviations."""
    random = np.random.default_rng(seed)
    return {
        f"feature_{number:02d}": random.normal(shift * (number % 2), 1.0, rows)
        for number in range(features)
    }


def _categories(*shares: float) -> Callable[[Generator, int], NDArray[np.generic]]:
    names = [f"plan_{number}" for number in range(len(shares))]
    return lambda random, rows: random.choice(names, rows, p=list(shares))


_BEFORE: _DRAW = {
    "normal": lambda random, rows: random.normal(size=rows),
    "lognormal": lambda random, rows: random.lognormal(size=rows),
    "exponential": lambda random, rows: random.exponential(3.0, rows),
    "uniform": lambda random, rows: random.random(rows),
    "count": lambda random, rows: random.poisson(4.0, rows).astype(np.float64),
    "heavy_tailed": lambda random, rows: random.standard_t(3, rows),
    "two_plans": _categories(0.5, 0.5),
    "five_plans": _categories(0.4, 0.3, 0.15, 0.1, 0.05),
}

_AFTER: dict[str, tuple[str, Callable[[Generator, int], NDArray[np.generic]]]] = {
    "normal_moved_half": ("normal", lambda random, rows: random.normal(0.5, 1.0, rows)),
    "normal_moved_one": ("normal", lambda random, rows: random.normal(1.0, 1.0, rows)),
    "normal_twice_as_wide": ("normal", lambda random, rows: random.normal(0.0, 2.0, rows)),
    "normal_split": (
        "normal",
        lambda random, rows: random.normal(size=rows) + random.choice([-1.5, 1.5], rows),
    ),
    "lognormal_grown": ("lognormal", lambda random, rows: random.lognormal(0.7, 1.0, rows)),
    "exponential_halved": ("exponential", lambda random, rows: random.exponential(1.5, rows)),
    "uniform_squeezed": ("uniform", lambda random, rows: random.random(rows) * 0.6),
    "count_raised": (
        "count",
        lambda random, rows: random.poisson(6.0, rows).astype(np.float64),
    ),
    "heavy_tailed_moved": (
        "heavy_tailed",
        lambda random, rows: random.standard_t(3, rows) + 1.0,
    ),
    "two_plans_tilted": ("two_plans", _categories(0.75, 0.25)),
    "five_plans_reversed": ("five_plans", _categories(0.05, 0.1, 0.15, 0.3, 0.4)),
    "five_plans_and_a_new_one": ("five_plans", _categories(0.3, 0.2, 0.1, 0.1, 0.05, 0.25)),
}


def pairs() -> list[Pair]:
    """Return every distribution against itself, drawn anew, and against its drifted ones."""
    found = []
    for rows in PAIR_ROWS:
        for number, (name, draw) in enumerate(_BEFORE.items()):
            for repeat in range(2):
                random = np.random.default_rng([rows, number, repeat])
                pair = draw(random, rows), draw(random, rows)
                found.append(Pair(f"{name}_same_{repeat}_{rows}", *pair))
        for number, (name, (before, draw)) in enumerate(_AFTER.items()):
            random = np.random.default_rng([rows, 100 + number])
            found.append(Pair(f"{name}_{rows}", _BEFORE[before](random, rows), draw(random, rows)))
    return found
