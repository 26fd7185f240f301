"""Workers with the times that an engine has if nobody configures others."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import attrs

from tests.faults.registry import Facility, Fault, Installed, Site

DEFAULT_LEASE_S: Final = 5.0


@attrs.frozen
class DefaultLease:
    """The default lease; and slots whose workers fail often are parked, as they are elsewhere.

    Far more workers die in a campaign than in a system: with the default of 10 a minute no slot
    would ever work again. So the count is over a shorter time, and the rest is shorter.
    """

    name: str = "default_lease"

    @asynccontextmanager
    async def open(self, _: Site) -> AsyncIterator[Installed]:
        """Say so in the settings."""
        yield Installed(
            self,
            settings=(
                "workers.check_interval_s=1",
                f"workers.check_deadline_s={DEFAULT_LEASE_S}",
                # After the lease, as by default: what comes first is the cause.
                f"workers.stall_s={DEFAULT_LEASE_S + 1}",
                "workers.restart_intensity=2",
                "workers.restart_period_s=10s",
                "workers.restart_longest_s=2s",
                "workers.park_s=3s",
            ),
        )


FACILITIES: tuple[Facility, ...] = (DefaultLease(),)
FAULTS: tuple[Fault, ...] = ()
