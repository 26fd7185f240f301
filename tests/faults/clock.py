"""The machine's clock, set back or forward by hours while the engine runs.

The system's clock is everybody's; so the engine and its children get one of their own, by a small
library (`own_clock.c`) loaded before the C library. Only the date is moved: the monotonic clocks
stay, as they do when an administrator or a time server sets a real machine's clock.
"""

import os
import random
import shutil
import struct
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio

from tests.faults.registry import Facility, Fault, Installed, Site, Target

HOUR_S = 3_600.0
COMPILER = "cc"
SOURCE = Path(__file__).with_name("own_clock.c")


def has_compiler() -> bool:
    """Tell whether the library can be built here."""
    return shutil.which(COMPILER) is not None


class MachineClock:
    """Tells all processes that were given its environment what time it is."""

    def __init__(self, folder: Path) -> None:
        """Build the library, into a folder that exists.

        Raises:
          subprocess.CalledProcessError: there is a C compiler, and it cannot.
        """
        self._library = folder / "own_clock.so"
        self._file = folder / "clock-offset"
        self.offset_s = 0.0
        self.set(0.0)
        command = [COMPILER, "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror"]
        subprocess.run([*command, "-o", self._library, SOURCE, "-ldl", "-pthread"], check=True)

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to live by this clock."""
        return {"LD_PRELOAD": str(self._library), "OWN_CLOCK_FILE": str(self._file)}

    def set(self, offset_s: float) -> None:
        """Let the clock be this much ahead of the real one, from this moment."""
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.pwrite(descriptor, struct.pack("=q", round(offset_s * 1e9)), 0)
        finally:
            os.close(descriptor)
        self.offset_s = offset_s


@attrs.frozen
class OwnClock:
    """A clock of the engine's own."""

    name: str = "own_clock"

    @asynccontextmanager
    async def open(self, site: Site) -> AsyncIterator[Installed]:
        clock = MachineClock(site.folder)
        yield Installed(clock, environment=clock.environment)


@attrs.frozen
class ClockJump:
    """The clock jumps, once and for a while, then is right again."""

    name: str
    least_s: float
    most_s: float
    needs: frozenset[str] = frozenset({"own_clock"})
    may_cause: frozenset[str] = frozenset()

    async def inject(self, target: Target, rng: random.Random) -> str:
        """Jump, wait a while, and jump back."""
        clock: MachineClock = target.facilities["own_clock"]
        offset_s, for_s = rng.uniform(self.least_s, self.most_s), rng.uniform(0.1, 2.0)
        before_s = clock.offset_s
        clock.set(before_s + offset_s)
        try:
            await trio.sleep(for_s)
        finally:
            clock.set(before_s)
        return f"{offset_s:+.1f} s for {for_s:.2f} s"


@attrs.frozen
class ClockTicksBackwards:
    """The clock is set back again and again, by a little, as a bad time server does."""

    name: str = "clock_set_back_repeatedly"
    needs: frozenset[str] = frozenset({"own_clock"})
    may_cause: frozenset[str] = frozenset()

    async def inject(self, target: Target, rng: random.Random) -> str:
        """Set it back a little many times, then right again."""
        clock: MachineClock = target.facilities["own_clock"]
        before_s, times = clock.offset_s, rng.randint(5, 20)
        try:
            for _ in range(times):
                clock.set(clock.offset_s - rng.uniform(0.001, 2.0))
                await trio.sleep(rng.uniform(0.01, 0.1))
            behind_s = before_s - clock.offset_s
        finally:
            clock.set(before_s)
        return f"{times} times back, {behind_s:.1f} s in all"


FACILITIES: tuple[Facility, ...] = (OwnClock(),) if has_compiler() else ()
FAULTS: tuple[Fault, ...] = (
    (
        ClockJump("clock_hours_ahead", HOUR_S, 48 * HOUR_S),
        ClockJump("clock_hours_behind", -48 * HOUR_S, -HOUR_S),
        ClockJump("clock_seconds_off", -10.0, 10.0),
        ClockTicksBackwards(),
    )
    if has_compiler()
    else ()
)
