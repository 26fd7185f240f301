"""A broker of the harness', which keeps its log when the engine is killed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import trio

from tests.faults.registry import Facility, Installed, Site
from tests.support.broker_process import BrokerProcess


@attrs.frozen
class KeptBroker:
    """What it acknowledges must be in the data file in the end."""

    name: str = "kept_broker"

    @asynccontextmanager
    async def open(self, _: Site) -> AsyncIterator[Installed]:
        """Run the broker while the block runs."""
        broker = BrokerProcess()
        await trio.to_thread.run_sync(broker.start)
        try:
            yield Installed(
                broker,
                settings=(
                    f"kafka.bootstrap_servers={broker.bootstrap_servers}",
                    "kafka.group_id=null",
                ),
                addresses={"kafka": broker.bootstrap_servers},
            )
        finally:
            broker.kill()


FACILITIES: tuple[Facility, ...] = (KeptBroker(),)
