"""Distributions as they are shown: bounded in number and length, whatever the data holds."""

from typing import Final

import attrs
import numpy as np

from engine.tasks.drift.contingency import CategoryCounts
from engine.tasks.feature_columns import FloatArray

MAX_BINS: Final = 10
"""Categories that are shown by name; the others are one bin."""

OTHERS: Final = "(others)"

_NAME_BYTES: Final = 36
"""Of a category's name, at most: a UUID fits. A report on 256 features stays below 1 MiB."""


@attrs.frozen
class Bins:
    """A share for each bin; either `edges`, the inner ones, or `categories` name the bins."""

    shares: tuple[float, ...]
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()


def numeric_bins(edges: FloatArray, shares: FloatArray) -> Bins:
    """Return the bins of numbers."""
    return Bins(tuple(shares.tolist()), edges=tuple(edges.tolist()))


def category_bins(counts: CategoryCounts) -> tuple[Bins, Bins]:
    """Return reference and current shares of the categories that are most frequent in either."""
    sizes = [
        max(1, int(counts.reference.sum()) + counts.unnamed_reference),
        max(1, int(counts.current.sum()) + counts.unnamed_current),
    ]
    shares = np.stack([counts.reference, counts.current]) / np.array(sizes)[:, np.newaxis]
    order = np.argsort(-shares.max(axis=0, initial=0.0), kind="stable")
    shown, hidden = order[:MAX_BINS], order[MAX_BINS:]
    names = tuple(shorten(counts.categories[place]) for place in shown)
    if len(hidden) or counts.unnamed_reference or counts.unnamed_current:
        rest = shares[:, hidden].sum(axis=1)
        rest += np.array([counts.unnamed_reference, counts.unnamed_current]) / sizes
        shares = np.column_stack([shares[:, shown], rest])
        names += (OTHERS,)
    else:
        shares = shares[:, shown]
    first, second = (Bins(tuple(row.tolist()), categories=names) for row in shares)
    return first, second


def shorten(category: str) -> str:
    """Return a category's name as it is shown: one line of bounded length."""
    printable = "".join(
        mark if mark.isprintable() else "\N{REPLACEMENT CHARACTER}"
        for mark in category[:_NAME_BYTES]
    )
    encoded = printable.encode()
    if len(encoded) <= _NAME_BYTES and len(category) <= _NAME_BYTES:
        return printable
    ellipsis = "…"
    return encoded[: _NAME_BYTES - len(ellipsis.encode())].decode(errors="ignore") + ellipsis
