"""TLS: who is let in, with real clients and ours."""

import ssl
from pathlib import Path

import attrs
import grpc
import purerpc
import pytest
from google.protobuf.wrappers_pb2 import BytesValue

from engine.rpc import TransportLimits
from engine.rpc.client import BlockingChannel, ChannelOptions, bind, open_channel
from engine.rpc.tls import open_client_tls, open_server_tls
from tests.support.certificates import Identity, make_identity
from tests.support.echo_port import EchoServicer, in_thread, open_port, stub
from tests.support.grpcio_server import grpcio_server
from tests.support.raw_peer import raw_peer

SERVICE = EchoServicer().service
MIB = 1 << 20


@attrs.frozen
class Identities:
    authority: Path
    server: Identity
    client: Identity


@pytest.fixture(scope="module")
def identities(tmp_path_factory: pytest.TempPathFactory) -> Identities:
    folder = tmp_path_factory.mktemp("tls")
    authority = make_identity(folder, "authority")
    return Identities(
        authority.certificate,
        make_identity(folder, "server", signer=authority),
        make_identity(folder, "client", signer=authority),
    )


def server_tls(identities: Identities, *, mutual: bool = False) -> ssl.SSLContext:
    return open_server_tls(
        identities.server.certificate,
        identities.server.key,
        identities.authority if mutual else None,
    )


async def test_a_grpcio_client_calls_over_tls(identities: Identities) -> None:
    limits = TransportLimits(message_bytes_max=9 * MIB)
    async with open_port(tls=server_tls(identities), limits=limits) as port:

        def call() -> tuple[int, int]:
            credentials = grpc.ssl_channel_credentials(identities.authority.read_bytes())
            options = [("grpc.max_receive_message_length", -1)]
            with grpc.secure_channel(port.address, credentials, options) as channel:
                reply = stub(channel, "Echo")(BytesValue(value=bytes(8 * MIB)), timeout=20)
                many = stub(channel, "Many")(BytesValue(value=b"50 100000"), timeout=20)
                return len(reply.value), sum(len(message.value) for message in many)

        assert await in_thread(call) == (8 * MIB, 5_000_000)


@pytest.mark.parametrize("with_certificate", [True, False])
async def test_mutual_tls_wants_the_clients_certificate(
    identities: Identities, with_certificate: bool
) -> None:
    client = identities.client if with_certificate else None
    tls = open_client_tls(
        identities.authority, client and client.certificate, client and client.key
    )
    async with open_port(tls=server_tls(identities, mutual=True)) as port:
        options = ChannelOptions(tls=tls)
        async with open_channel("127.0.0.1", port.number, options) as channel:
            echo = bind(SERVICE, channel).Echo
            if with_certificate:
                assert (await echo(BytesValue(value=b"in"))).value == b"in"
            else:
                with pytest.raises(purerpc.UnavailableError):
                    await echo(BytesValue(value=b"out"))


async def test_our_clients_call_over_tls(identities: Identities) -> None:
    options = ChannelOptions(tls=open_client_tls(identities.authority))
    async with open_port(tls=server_tls(identities)) as port:

        def call() -> int:
            with BlockingChannel("127.0.0.1", port.number, options) as channel:
                return len(bind(SERVICE, channel).Echo(BytesValue(value=bytes(3 * MIB))).value)

        assert await in_thread(call) == 3 * MIB
        async with open_channel("127.0.0.1", port.number, options) as channel:
            assert len((await bind(SERVICE, channel).Echo(BytesValue(value=b"x"))).value) == 1


async def test_our_client_calls_grpcio_over_tls(identities: Identities) -> None:
    pair = (identities.server.key.read_bytes(), identities.server.certificate.read_bytes())
    with grpcio_server(credentials=grpc.ssl_server_credentials([pair])) as number:
        options = ChannelOptions(tls=open_client_tls(identities.authority))
        async with open_channel("127.0.0.1", number, options) as channel:
            reply = await bind(SERVICE, channel).Echo(BytesValue(value=bytes(MIB)))
            assert len(reply.value) == MIB


async def test_a_server_that_the_authority_did_not_sign_is_not_trusted(
    identities: Identities, tmp_path: Path
) -> None:
    stranger = make_identity(tmp_path, "stranger")
    options = ChannelOptions(tls=open_client_tls(identities.authority))
    tls = open_server_tls(stranger.certificate, stranger.key)
    async with (
        open_port(tls=tls) as port,
        open_channel("127.0.0.1", port.number, options) as channel,
    ):
        with pytest.raises(purerpc.UnavailableError, match="certificate"):
            await bind(SERVICE, channel).Echo(BytesValue())


async def test_plain_bytes_and_silence_are_cut_off(identities: Identities) -> None:
    limits = TransportLimits(handshake_timeout_s=0.3)
    async with open_port(tls=server_tls(identities), limits=limits) as port:
        async with raw_peer(port.number) as peer:
            with pytest.raises(AssertionError):
                await peer.goaway_code(timeout_s=3)
        async with raw_peer(port.number, greet=False) as peer:
            await peer.frames_until(None, timeout_s=3)
