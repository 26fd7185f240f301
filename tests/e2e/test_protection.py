"""TLS and the bearer token, as configured, on the real program."""

import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from proto.trellis.v1 import models_pb2
from tests.support.certificates import Identity, make_identity
from tests.support.engine_process import ROOT, EngineProcess

TOKEN = "a-token-of-the-test"


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    """As a real one: signed by an authority that is not in the file."""
    return make_identity(tmp_path, "engine", signer=make_identity(tmp_path, "authority"))


def list_models(channel: grpc.Channel, token: str | None) -> models_pb2.ListModelsResponse:
    call = channel.unary_unary(
        "/trellis.v1.ModelService/ListModels",
        request_serializer=models_pb2.ListModelsRequest.SerializeToString,
        response_deserializer=models_pb2.ListModelsResponse.FromString,
    )
    metadata = () if token is None else (("authorization", f"Bearer {token}"),)
    return call(models_pb2.ListModelsRequest(), metadata=metadata, timeout=10)


def test_tls_and_token_guard_the_ports_and_the_command_line_has_both(
    tmp_path: Path, identity: Identity
) -> None:
    authority = identity.certificate.with_name("authority.pem")
    settings = (
        f"security.tls_certificate={identity.certificate}",
        f"security.tls_private_key={identity.key}",
    )
    environment = {"TRELLIS_SECURITY__AUTH_TOKEN": TOKEN}
    with EngineProcess(tmp_path / "data", settings=settings, environment=environment) as engine:
        address = engine.address("service_b")
        credentials = grpc.ssl_channel_credentials(authority.read_bytes())
        with grpc.secure_channel(address, credentials) as channel:
            assert list_models(channel, TOKEN).models
            for wrong in (None, "another"):
                with pytest.raises(grpc.RpcError) as caught:
                    list_models(channel, wrong)
                assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as caught:
            list_models(channel, TOKEN)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE

        words = [word for setting in settings for word in ("--set", setting)]
        done = subprocess.run(
            [sys.executable, "main.py", "--data", str(engine.data_dir), *words, "features", "1"],
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert TOKEN not in done.stdout + done.stderr
        assert engine.stop() == 0


def test_a_public_address_without_protection_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "main.py", "--set", "server_ports.host=0.0.0.0", "check-config"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "server_ports.host" in done.stderr
