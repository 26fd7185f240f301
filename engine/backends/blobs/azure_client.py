"""Making the client of an Azure container, with whichever credentials are configured."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError
from azure.storage.blob import ContainerClient

from engine.config import BlobsConfig
from engine.errors import FailedPreconditionError

BLOCK_BYTES = 4 * 2**20
"""One request's worth: small enough to hold and repeat, large enough to fill a line."""

_CONNECT_TIMEOUT_S = 5.0


@contextmanager
def open_client(config: BlobsConfig) -> Iterator[ContainerClient]:
    """Provide the container's client; nothing is sent yet.

    Raises:
      FailedPreconditionError: the connection string or the URL cannot be understood; the former's
        text is not shown.
    """
    options: dict[str, Any] = {
        # Repeating is done by ourselves: in time, and where a cancellation reaches it.
        "retry_total": 0,
        "connection_timeout": min(_CONNECT_TIMEOUT_S, config.timeout_s),
        "read_timeout": request_timeout_s(config),
        "max_single_put_size": 2 * BLOCK_BYTES,
        "max_single_get_size": BLOCK_BYTES,
        "max_chunk_get_size": BLOCK_BYTES,
    }
    with contextlib.ExitStack() as stack:
        if config.connection_string is not None:
            client = _from_connection_string(config, options)
        else:
            assert config.account_url is not None, "open_blobs asks which is set"
            client = _with_identity(config.account_url, config.container, options, stack)
        yield stack.enter_context(client)


def request_timeout_s(config: BlobsConfig) -> float:
    """Return how long a request may be silent: half of the time, so that there is a second one."""
    return config.timeout_s / 2


def describe_address(client: ContainerClient) -> str:
    """Return the container's URL without scheme and query, which holds a SAS token."""
    parts = urlsplit(client.url)
    return (
        f"{parts.hostname}:{parts.port}{parts.path}"
        if parts.port
        else (f"{parts.hostname}{parts.path}")
    )


def _from_connection_string(config: BlobsConfig, options: dict[str, Any]) -> ContainerClient:
    assert config.connection_string is not None
    # Raised outside of the handler, so that not even the context of the error holds the original,
    # which quotes what it could not read.
    with contextlib.suppress(ValueError, KeyError, AzureError):
        return ContainerClient.from_connection_string(
            config.connection_string.reveal(), config.container, **options
        )
    raise FailedPreconditionError(
        "blobs.connection_string is not an Azure connection string; copy it from the account's "
        "page `Access keys` or `Shared access signature`"
    )


def _with_identity(
    account_url: str, container: str, options: dict[str, Any], stack: contextlib.ExitStack
) -> ContainerClient:
    if not account_url.startswith("https://"):
        raise FailedPreconditionError(
            "blobs.account_url must begin with https:// since the token of the machine's identity "
            "is sent there"
        )
    # Imported only here: whoever has a key needs none of it.
    from azure.identity import DefaultAzureCredential  # noqa: PLC0415

    credential = stack.enter_context(
        # Of its many ways those that a server can have: variables, workload identity, managed
        # identity; and the Azure CLI, for a developer.
        DefaultAzureCredential(
            exclude_powershell_credential=True,
            exclude_developer_cli_credential=True,
            exclude_visual_studio_code_credential=True,
            exclude_shared_token_cache_credential=True,
        )
    )
    return ContainerClient(account_url, container, credential=credential, **options)
