"""Who may look, and who may act.

The token travels in the `Authorization` header and nowhere else. A browser adds no such header by
itself, and a page of another origin cannot add it either: that takes a preflight, which is never
answered. So no page can act in the name of somebody who has the Console open, as it could with a
cookie. `Origin` and `Sec-Fetch-Site` are checked all the same.
"""

import hmac
from typing import Final

import attrs
from starlette.datastructures import Headers

_SAME_SITE: Final = frozenset({"same-origin", "none"})


class UnauthenticatedError(Exception):
    """The request lacks the token; the message says where it is found."""


class ForeignOriginError(Exception):
    """Another site's page sent the request."""


@attrs.frozen
class Access:
    """The rules of one engine."""

    token: str = attrs.field(repr=False)
    token_place: str
    """Where whoever may act finds the token."""
    open_reads: bool
    """Whether looking takes no token."""

    def check_read(self, headers: Headers) -> None:
        """Refuse a request that may not look. Raises UnauthenticatedError, ForeignOriginError."""
        _check_origin(headers)
        if not self.open_reads:
            self._check_token(headers)

    def check_act(self, headers: Headers) -> None:
        """Refuse a request that may not act. Raises UnauthenticatedError, ForeignOriginError."""
        _check_origin(headers)
        self._check_token(headers)

    def _check_token(self, headers: Headers) -> None:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        # In bytes: comparing texts fails on characters beyond ASCII.
        same = hmac.compare_digest(given.strip().encode(), self.token.encode())
        if scheme.lower() != "bearer" or not same:
            found = "is not the right one" if given else "is missing"
            raise UnauthenticatedError(f"the token {found}; it is in {self.token_place}")


def _check_origin(headers: Headers) -> None:
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
    own = headers.get("host", "").lower()
    foreign = origin is not None and origin.lower() not in (f"http://{own}", f"https://{own}")
    if foreign or site not in _SAME_SITE:
        raise ForeignOriginError("this is answered to the Console's own page only")
