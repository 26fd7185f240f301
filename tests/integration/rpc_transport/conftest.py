from collections.abc import AsyncIterator

import pytest

from engine.rpc import TransportLimits
from tests.support.echo_port import Port, open_port


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    """A port that takes messages of up to 9 MiB."""
    async with open_port(limits=TransportLimits(message_bytes_max=9 << 20)) as opened:
        yield opened
