"""A Redis URL: understood by the client's own parser before anything is started."""

from typing import Any
from urllib.parse import urlsplit

import attrs

from engine.config.mismatch import MismatchError
from engine.config.secret_kinds import SecretUrl
from engine.config.secrets import Secret


@attrs.frozen
class RedisUrl(SecretUrl):
    """A URL that the Redis client can connect with; never shown, not even when it is wrong."""

    schemes: tuple[str, ...] = ("redis", "rediss", "unix")

    def parse(self, raw: Any) -> Secret:
        url = super().parse(raw)
        if not _is_understood(url.reveal()):
            raise MismatchError(
                "a URL that the Redis client does not understand",
                f"{self.allowed}, such as redis://user:password@host:6379/0, with characters like "
                "/ # ? @ in the password percent-encoded",
            )
        return url


def _is_understood(url: str) -> bool:
    # The client takes a quarter of a second to import, and most configurations have no URL.
    from redis import ConnectionPool, RedisError  # noqa: PLC0415

    try:
        parts = urlsplit(url)
        pool = ConnectionPool.from_url(url)
        # Only a connection knows which options there are; making one sends nothing yet.
        pool.connection_class(**pool.connection_kwargs)
    except (ValueError, TypeError, RedisError):
        return False
    if parts.scheme == "unix":
        return True
    # The client takes any other path for database 0. One with an @ is the rest of a password whose
    # / has ended the host part early.
    database = parts.path.removeprefix("/")
    return (not database or database.isdecimal()) and "@" not in parts.query + parts.fragment
