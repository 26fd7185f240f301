"""Faults of the network between the engine and what it speaks to, or what speaks to it.

Each facility puts proxies into one kind of connection; the same list of bad conditions is then done
to any of them.
"""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import attrs
import trio

from tests.faults.proxy import BOTH_WAYS, Proxy, Way, open_proxy
from tests.faults.registry import Facility, Fault, Installed, Site, Target
from tests.faults.remote_host import running_agent
from tests.support.broker_process import BrokerProcess, free_port
from tests.support.redis_servers import running_server

CLIENT_PORTS = ("service_a", "service_b", "service_d")
CONTROL_TOKEN = "token-of-the-control-port"
AGENT_NAME = "elsewhere"

Proxies = Mapping[str, Proxy]
"""A facility's proxies by what they stand before."""


@attrs.frozen
class RedisProxy:
    """A Redis of the harness's own, over TCP, with a proxy before it."""

    name: str = "redis_proxy"

    @asynccontextmanager
    async def open(self, site: Site) -> AsyncIterator[Installed]:
        port = free_port()
        with running_server("redis6", "--port", str(port), "--bind", "127.0.0.1"):
            async with open_proxy(port, seed=site.seed) as proxy:
                yield Installed({"redis": proxy}, (f"redis.url=redis://{proxy.address}/0",))


@attrs.frozen
class KafkaProxy:
    """A broker of the harness's own that tells everybody to come by way of a proxy."""

    name: str = "kafka_proxy"

    @asynccontextmanager
    async def open(self, site: Site) -> AsyncIterator[Installed]:
        port = free_port()
        async with open_proxy(port, seed=site.seed) as proxy:
            with BrokerProcess(port, advertised_port=proxy.port):
                settings = (
                    f"kafka.bootstrap_servers={proxy.address}",
                    # Without a group: rejoining one takes longer than most faults.
                    "kafka.group_id=null",
                )
                addresses = {"kafka": proxy.address}
                yield Installed({"kafka": proxy}, settings, addresses=addresses)


@attrs.frozen
class ClientProxies:
    """A proxy before each public gRPC port."""

    name: str = "client_proxies"

    @asynccontextmanager
    async def open(self, site: Site) -> AsyncIterator[Installed]:
        async with AsyncExitStack() as stack:
            proxies = {
                key: await stack.enter_async_context(open_proxy(site.ports[key], seed=site.seed))
                for key in CLIENT_PORTS
            }
            addresses = {key: proxy.address for key, proxy in proxies.items()}
            yield Installed(proxies, addresses=addresses)


@attrs.frozen
class RemoteAgent:
    """A remote host of workers, with a proxy before the control port it joins."""

    name: str = "remote_agent"
    pool: str = "default"
    workers: int = 1

    @asynccontextmanager
    async def open(self, site: Site) -> AsyncIterator[Installed]:
        async with open_proxy(site.ports["control"], seed=site.seed) as proxy:
            agent = running_agent(
                site.folder,
                proxy.address,
                CONTROL_TOKEN,
                name=AGENT_NAME,
                pool=self.pool,
                workers=self.workers,
            )
            with agent as host:
                yield Installed(
                    {"control": proxy},
                    (f"security.control_token={CONTROL_TOKEN}",),
                    addresses={"control": proxy.address},
                    remote_hosts=(host,),
                )


async def slow(proxy: Proxy, rng: random.Random) -> str:
    """Make every answer late, more or less."""
    latency_s, jitter_s, for_s = rng.uniform(0.01, 0.2), rng.uniform(0.0, 0.2), _draw_s(rng, 2.0)
    with proxy.under(latency_s=latency_s, jitter_s=jitter_s):
        await trio.sleep(for_s)
    return f"{latency_s * 1e3:.0f} ms late, and up to {jitter_s * 1e3:.0f} more, for {for_s:.2f} s"


async def torn(proxy: Proxy, rng: random.Random) -> str:
    """Let everything arrive in tiny pieces."""
    most_bytes, for_s = rng.choice([1, 2, 7, 64]), _draw_s(rng, 2.0)
    with proxy.under(slice_bytes=most_bytes):
        await trio.sleep(for_s)
    return f"in pieces of up to {most_bytes} bytes for {for_s:.2f} s"


async def cut(proxy: Proxy, rng: random.Random) -> str:
    """Close all connections in order, a few times."""
    return await _end_repeatedly(proxy.cut, "closed", rng)


async def reset(proxy: Proxy, rng: random.Random) -> str:
    """Reset all connections, a few times."""
    return await _end_repeatedly(proxy.reset, "reset", rng)


async def stalled(proxy: Proxy, rng: random.Random) -> str:
    """Accept connections and pass nothing on, then go on as if nothing had been."""
    for_s = _draw_s(rng, 3.0)
    with proxy.under(held=BOTH_WAYS):
        await trio.sleep(for_s)
    return f"nothing passed for {for_s:.2f} s"


async def answers_lost(proxy: Proxy, rng: random.Random) -> str:
    """Pass on what is asked and not what is answered, then reset: done, and nobody knows."""
    return await _lose(proxy, Way.TO_CLIENT, rng)


async def requests_lost(proxy: Proxy, rng: random.Random) -> str:
    """Pass on answers and nothing that is asked, then reset."""
    return await _lose(proxy, Way.TO_SERVER, rng)


async def unreachable(proxy: Proxy, rng: random.Random) -> str:
    """Reset all connections and every new one for a while."""
    for_s = _draw_s(rng, 3.0)
    with proxy.under(refuses=True):
        proxy.reset()
        await trio.sleep(for_s)
    return f"unreachable for {for_s:.2f} s"


async def _end_repeatedly(end: Callable[[], int], how: str, rng: random.Random) -> str:
    times = rng.randint(1, 5)
    connections = 0
    for _ in range(times):
        connections += end()
        await trio.sleep(rng.uniform(0.0, 0.3))
    return f"{connections} connections {how} in {times} strokes"


async def _lose(proxy: Proxy, way: Way, rng: random.Random) -> str:
    for_s = _draw_s(rng, 1.5)
    with proxy.under(held=frozenset({way})):
        await trio.sleep(for_s)
        # Before it is over: what was held is lost with its connection.
        connections = proxy.reset()
    return f"what went {way.value} lost for {for_s:.2f} s on {connections} connections"


def _draw_s(rng: random.Random, most_s: float) -> float:
    """Return a duration; short ones are as likely as long ones, since other code sees them."""
    return most_s * rng.random() ** 2 + 0.05


CONDITIONS: tuple[Callable[[Proxy, random.Random], Awaitable[str]], ...] = (
    slow,
    torn,
    cut,
    reset,
    stalled,
    answers_lost,
    requests_lost,
    unreachable,
)


@attrs.frozen
class NetworkFault:
    """Bad conditions at one of a facility's proxies."""

    name: str
    facility: str
    condition: Callable[[Proxy, random.Random], Awaitable[str]]
    may_cause: frozenset[str] = frozenset()

    @property
    def needs(self) -> frozenset[str]:
        return frozenset({self.facility})

    async def inject(self, target: Target, rng: random.Random) -> str:
        """Do it to a proxy that is drawn, and mend it."""
        proxies: Proxies = target.facilities[self.facility]
        place = rng.choice(sorted(proxies))
        return f"{place}: {await self.condition(proxies[place], rng)}"


_MAY_CAUSE: Mapping[str, frozenset[str]] = {
    # Jobs run on while Redis or Kafka is away, and clients are no part of them.
    "redis_proxy": frozenset(),
    "kafka_proxy": frozenset(),
    "client_proxies": frozenset(),
    # A host that is out of reach for longer than the lease loses its workers; and an upload that
    # speaks to the engine when its connection ends is tried again later.
    "remote_agent": frozenset(
        {"host_lost", "silent", "died", "engine_lost", "shutdown", "error", "out_of_reach"}
    ),
}

FACILITIES: tuple[Facility, ...] = (RedisProxy(), KafkaProxy(), ClientProxies(), RemoteAgent())
FAULTS: tuple[Fault, ...] = tuple(
    NetworkFault(
        f"{facility.removesuffix('_proxies').removesuffix('_proxy')}_{condition.__name__}",
        facility,
        condition,
        may_cause,
    )
    for facility, may_cause in _MAY_CAUSE.items()
    for condition in CONDITIONS
)
