"""Which champion to go back to. Pure; the one rule for automatic rollback, Console and commands.

The champions of a model form a way: each new one is a step on. Going back to an older version takes
back all steps that came after it, so nobody returns to a version that was gone back from; and since
only newer versions are steps on, going back never leads forward.
"""

from collections.abc import Iterable


def step(way: tuple[int, ...], champion: int) -> tuple[int, ...]:
    """Return the way once a version is champion.

    Args:
      way: versions that were champion, each newer than the one before, the present one last.
    """
    return (*(version for version in way if version < champion), champion)


def walk(champions: Iterable[int]) -> tuple[int, ...]:
    """Return the way that versions make by becoming champion one after the other."""
    way: tuple[int, ...] = ()
    for champion in champions:
        way = step(way, champion)
    return way
