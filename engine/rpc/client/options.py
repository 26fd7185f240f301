"""What a channel is told once, for all its calls."""

import random
import ssl
from collections.abc import Iterator

import attrs

from engine.rpc.http2.limits import Http2Limits


@attrs.frozen(kw_only=True)
class ChannelOptions:
    """Options of a channel; times in seconds.

    `timeout_s` bounds every call that brings no timeout of its own; None leaves those without.
    `bearer_token` is sent with every call as `authorization: Bearer <token>`.
    `encoding` compresses requests: identity, gzip or deflate.
    """

    timeout_s: float | None = 30.0
    bearer_token: str | None = attrs.field(default=None, repr=False)
    encoding: str = "identity"
    message_bytes_max: int = 4 * 1024 * 1024
    tls: ssl.SSLContext | None = attrs.field(default=None, repr=False)
    # The name the server's certificate must have; default is the host connected to.
    tls_name: str | None = None
    connect_timeout_s: float = 5.0
    backoff_first_s: float = 0.05
    backoff_max_s: float = 5.0
    keepalive_s: float = 30.0
    keepalive_timeout_s: float = 10.0
    http2: Http2Limits = attrs.field(factory=Http2Limits)


def backoff_delays(options: ChannelOptions) -> Iterator[float]:
    """Yield how long to wait before each attempt to connect, after the first has failed.

    Doubling and full of jitter, so that clients of a restarted server do not come back in step.
    """
    delay_s = options.backoff_first_s
    while True:
        yield delay_s * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
        delay_s = min(delay_s * 2, options.backoff_max_s)
