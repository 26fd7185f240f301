"""An account used with the identity of the machine: no key, but tokens that it is given."""

import base64
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from engine.backends.blobs import BlobAccessError, open_blobs
from engine.config import BlobsConfig, PathsConfig
from engine.errors import FailedPreconditionError
from engine.health import HealthBoard
from tests.support.azurite import Azurite
from tests.support.certificates import make_identity


def make_token(valid_for_s=3600):
    """Return a token as Entra ID would give it for storage; Azurite does not check signatures."""
    now = int(time.time())
    claims = {
        "aud": "https://storage.azure.com",
        "iss": "https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/",
        "iat": now,
        "nbf": now - 60,
        "exp": now + valid_for_s,
        "sub": "machine",
    }
    parts = [{"alg": "RS256", "typ": "JWT"}, claims, "signature"]
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts
    )


@pytest.fixture
def identity_endpoint(monkeypatch):
    """The local endpoint at which a hosted machine asks for its tokens."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            """Say nothing."""

        def do_GET(self):
            asked.append(self.path)
            body = json.dumps(
                {
                    "access_token": make_token(),
                    "expires_on": str(int(time.time()) + 3600),
                    "resource": "https://storage.azure.com",
                    "token_type": "Bearer",
                }
            ).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{server.server_port}/token")
        monkeypatch.setenv("IDENTITY_HEADER", "header-of-this-machine")
        yield asked
        server.shutdown()
        thread.join()


@pytest.fixture
def secure_azurite(tmp_path, monkeypatch):
    identity = make_identity(tmp_path, "azurite", private_key=rsa.generate_private_key(65537, 2048))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(identity.certificate))
    options = ("--cert", str(identity.certificate), "--key", str(identity.key), "--oauth", "basic")
    server = Azurite(tmp_path, options, in_memory=True, scheme="https")
    try:
        yield server.start()
    finally:
        server.kill()


async def test_an_account_is_used_with_the_identity_of_the_machine(
    secure_azurite, identity_endpoint
):
    config = BlobsConfig(account_url=secure_azurite.endpoint(), timeout_s=10.0)
    async with open_blobs(config, PathsConfig(), HealthBoard()) as blobs:
        info = await blobs.store.put("a", b"1", if_absent=True)
        assert await blobs.store.head("a") == info
        assert await blobs.store.get_bytes("a", 1) == b"1"
    assert identity_endpoint


async def test_a_machine_without_identity_is_told_so(monkeypatch, tmp_path):
    # Of the ways to an identity the one that asks nobody, so that the test needs no network.
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "WorkloadIdentityCredential")
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    config = BlobsConfig(account_url="https://127.0.0.1:1/account", timeout_s=2.0)
    async with open_blobs(config, PathsConfig(), HealthBoard()) as blobs:
        assert "the machine has no identity" in blobs.state.detail
        with pytest.raises(BlobAccessError, match="the machine has no identity"):
            await blobs.store.head("a")


async def test_a_token_is_never_sent_over_plain_http():
    config = BlobsConfig(account_url="http://127.0.0.1:1/account")
    with pytest.raises(FailedPreconditionError, match="must begin with https://"):
        async with open_blobs(config, PathsConfig(), HealthBoard()):
            pytest.fail("opened")
