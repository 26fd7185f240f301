"""Asking Kafka brokers whether they are there."""

import ssl
from collections.abc import Sequence

import attrs
import trio

from engine.backends.failures import describe_connection_failure
from engine.backends.kafka_wire import (
    KafkaReplyError,
    decode_api_versions,
    decode_cluster_id,
    decode_length,
    encode_api_versions,
    encode_cluster_query,
)
from engine.config import KafkaConfig
from engine.errors import BackendUnavailableError, FailedPreconditionError

_BACKEND = "kafka"
_PROBE_TIMEOUT_S = 2.0


@attrs.frozen
class Address:
    """Where a broker listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_addresses(bootstrap_servers: str) -> tuple[Address, ...]:
    """Read `host:port`, several separated by commas, IPv6 addresses in brackets.

    Raises:
      FailedPreconditionError: a port is missing or no port.
    """
    addresses = []
    for item in bootstrap_servers.split(","):
        host, _, port = item.strip().rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise FailedPreconditionError(
                f"kafka.bootstrap_servers: {item.strip()!r} is not host:port"
            )
        addresses.append(Address(host.removeprefix("[").removesuffix("]"), int(port)))
    return tuple(addresses)


def load_tls_context(config: KafkaConfig) -> ssl.SSLContext | None:
    """Return how to speak TLS to the brokers, None if they are spoken to in plain. Reads files.

    Raises:
      FailedPreconditionError: a certificate or key file cannot be used.
    """
    if config.security_protocol not in {"SSL", "SASL_SSL"}:
        return None
    password = config.ssl_key_password
    try:
        context = ssl.create_default_context(cafile=config.ssl_ca_file)
        if config.ssl_certificate_file is not None:
            context.load_cert_chain(
                config.ssl_certificate_file,
                config.ssl_key_file,
                # Always given, lest OpenSSL asks for one on the terminal.
                password=password.reveal() if password is not None else "",
            )
    except (OSError, ssl.SSLError) as error:
        raise FailedPreconditionError(
            f"the TLS files of kafka cannot be used: {error.strerror or type(error).__name__}"
        ) from error
    return context


class ClusterProbe:
    """Asks all bootstrap servers at once; one that answers is enough.

    The request is one that brokers answer before a log-in, so refused credentials do not show
    here: they are the consumer's to report.
    """

    def __init__(self, addresses: Sequence[Address], tls: ssl.SSLContext | None) -> None:
        self._addresses = addresses
        self._tls = tls

    async def __call__(self) -> str:
        """Return which broker answered first.

        Raises:
          BackendUnavailableError: none did within 2 s; says of each why.
        """
        problems: dict[Address, str] = {}
        answered: list[Address] = []

        async def ask(address: Address) -> None:
            try:
                decode_api_versions(await _exchange(address, self._tls, encode_api_versions()))
            except BackendUnavailableError as error:
                problems[address] = error.detail
            except KafkaReplyError:
                problems[address] = f"no Kafka broker answers at {address}"
            else:
                answered.append(address)
                nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            for address in self._addresses:
                nursery.start_soon(ask, address)
        if not answered:
            details = [problems[address] for address in self._addresses]
            raise BackendUnavailableError(_BACKEND, ", ".join(details))
        return f"answers at {answered[0]}"


async def probe_embedded(port: int, cluster_id: str) -> None:
    """Make sure that the broker which answers on a loopback port is the one started last.

    Raises:
      BackendUnavailableError: nothing answers, or something else does.
    """
    address = Address("127.0.0.1", port)
    try:
        found = decode_cluster_id(await _exchange(address, None, encode_cluster_query()))
    except KafkaReplyError:
        found = None
    if found != cluster_id:
        raise BackendUnavailableError(_BACKEND, f"another program answers at {address}")


async def _exchange(address: Address, tls: ssl.SSLContext | None, request: bytes) -> bytes:
    """Send one request on a connection of its own and return the reply without its length."""
    try:
        with trio.fail_after(_PROBE_TIMEOUT_S):
            tcp = await trio.open_tcp_stream(address.host, address.port)
            stream: trio.abc.Stream = tcp
            if tls is not None:
                stream = trio.SSLStream(
                    tcp, tls, server_hostname=address.host, https_compatible=True
                )
            async with stream:
                await stream.send_all(request)
                length = decode_length(await _receive_exactly(stream, 4))
                return await _receive_exactly(stream, length)
    except (OSError, UnicodeError, trio.BrokenResourceError, trio.TooSlowError) as error:
        # UnicodeError: a host name that cannot be one.
        detail = describe_connection_failure(error, str(address), _PROBE_TIMEOUT_S)
        raise BackendUnavailableError(_BACKEND, detail) from error


async def _receive_exactly(stream: trio.abc.ReceiveStream, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        data = await stream.receive_some(size - len(received))
        if not data:
            raise trio.BrokenResourceError("closed in the middle of a reply")
        received += data
    return bytes(received)
