"""Shop traffic as a pure model: which user does what, and when it is due.

The model keeps shop time, counted in seconds from its start, and knows no clock: its sequence of
(user, action, value) depends on the settings alone, however fast it is played.
"""

from functools import lru_cache, partial
from math import exp, gcd, pi, sin
from random import Random
from typing import Final

import msgspec

from engine.generator.habits import Habits, compute_habits

START_HOUR: Final = 14.0
"""Hour of the shop day at which a run starts; the rate is at its mean then, and rising."""

_DAILY_SWING: Final = 0.6  # the busiest hour, 20:00, has 1.6 times the mean rate, 08:00 0.4 times

DRIFT_PRICE_FACTOR: Final = 3.0
DRIFT_CONVERSION_FACTOR: Final = 0.5

_VISIT_S: Final = 8.0  # mean time between two events of one session at moderate rates
_MAX_SESSIONS: Final = 50_000
_MOST_PRESENT: Final = 0.1  # share of the users at once; beyond it activity would even out
_ACTIVITY_SKEW: Final = 2.5  # the most active tenth of the users makes 40 % of the sessions
_CACHED_HABITS: Final = 1 << 16  # some 15 MB
_MAX_PICKS: Final = 12  # of users, until one likes the hour; then any who is not there is taken

_PRODUCTS: Final = 5_000
_PRICE_MU: Final = 3.2  # log-normal prices around exp(3.2) = 24.53
_PRICE_SIGMA: Final = 0.8
_CATEGORIES: Final = ("books", "clothes", "food", "garden", "home", "music", "sports", "toys")

# Chances to go on from an action, before the user's habits
_VIEW_TO_CLICK: Final = 0.35
_CLICK_TO_CART: Final = 0.30
_CART_TO_PURCHASE: Final = 0.45


class ShopEvent(msgspec.Struct, omit_defaults=True, gc=False):
    """One event as it is sent; whoever plays the traffic fills in the time."""

    user_id: int
    action: str
    timestamp: str = ""
    value: float | None = None
    product_id: int = 0
    category: str = ""
    session: str = ""


class _Session:
    """One user's visit: what comes next, of which product."""

    __slots__ = ("action", "category", "habits", "name", "price", "product_id", "user_id")

    def __init__(self, name: str, user_id: int, habits: Habits) -> None:
        self.name = name
        self.user_id = user_id
        self.habits = habits
        self.action = "view"
        self.product_id = 0
        self.category = ""
        self.price = 0.0


class TrafficModel:
    """The traffic of one share of a shop's users."""

    def __init__(
        self,
        *,
        seed: int,
        users: int,
        events_per_second: float,
        share: int = 0,
        shares: int = 1,
        drift_at_s: float | None = None,
        day_s: float = 86_400.0,
    ) -> None:
        """Start a shop day at two in the afternoon.

        Args:
          seed: what the sequence follows from, together with the other arguments.
          users: users of the whole shop; at least `shares`.
          events_per_second: mean rate of this share.
          share: which share this is; it holds the users whose (id - 1) leaves this remainder.
          shares: into how many shares the users are divided.
          drift_at_s: shop time at which behaviour shifts.
          day_s: length of a shop day.
        """
        self._random = Random(f"{seed}/{share}/{shares}")  # noqa: S311  play, not secrets
        # Active users come back often; the habits of the others are soon computed again.
        self._habits_of = lru_cache(_CACHED_HABITS)(partial(compute_habits, seed))
        self._share = share
        self._shares = shares
        self._users = (users - share + shares - 1) // shares
        self._stride = _coprime_stride(self._users)
        self._rate = events_per_second
        self._drift_at_s = float("inf") if drift_at_s is None else drift_at_s
        self._hours_per_s = 24.0 / day_s
        self._session_count = 0
        self._present: set[int] = set()
        self._due_s = 0.0
        self._advance()
        concurrent = min(events_per_second * _VISIT_S, self._users * _MOST_PRESENT, _MAX_SESSIONS)
        self._concurrent = max(1, int(concurrent))
        self._sessions: list[_Session] = []

    @property
    def next_due_s(self) -> float:
        """Shop time of the event that comes next."""
        return self._due_s

    def take_due(self, until_s: float, limit: int) -> list[ShopEvent]:
        """Return the events that are due and move on.

        Args:
          until_s: shop time up to which events are due.
          limit: at most so many; those left over stay due.
        """
        events: list[ShopEvent] = []
        sessions, random = self._sessions, self._random.random
        while self._due_s <= until_s and len(events) < limit:
            position = int(random() * self._concurrent)
            if position >= len(sessions):  # the shop is still filling up
                position = len(sessions)
                sessions.append(self._open_session())
            session = sessions[position]
            events.append(self._visit(session))
            if not self._go_on(session):
                self._present.discard(session.user_id)
                sessions[position] = self._open_session()
            self._advance()
        return events

    def _advance(self) -> None:
        angle = (self._hour() - START_HOUR) * (pi / 12)
        self._due_s += 1 / (self._rate * (1 + _DAILY_SWING * sin(angle)))

    def _hour(self) -> float:
        return (START_HOUR + self._due_s * self._hours_per_s) % 24.0

    def _open_session(self) -> _Session:
        """Let a user in who is not in the shop yet, preferably one who likes the hour."""
        hour = self._hour()
        for _ in range(_MAX_PICKS):
            rank = int(self._users * self._random.random() ** _ACTIVITY_SKEW)
            user_id = self._user_of(rank)
            habits = self._habits_of(user_id)
            if user_id not in self._present and self._random.random() < habits.presence(hour):
                break
        while user_id in self._present:  # ends soon: few of the users are
            rank += 1
            user_id = self._user_of(rank)
        self._present.add(user_id)
        self._session_count += 1
        name = f"{self._share}-{self._session_count}"
        return _Session(name, user_id, self._habits_of(user_id))

    def _user_of(self, rank: int) -> int:
        # Spread the active users over all ids; a stride without a common divisor meets each once.
        return 1 + self._share + self._shares * (rank * self._stride % self._users)

    def _visit(self, session: _Session) -> ShopEvent:
        """Return the event of the session's current action."""
        action = session.action
        if action == "view":
            self._show_product(session)
        return ShopEvent(
            user_id=session.user_id,
            action=action,
            value=self._price(session) if action in {"cart", "purchase"} else None,
            product_id=session.product_id,
            category=session.category,
            session=session.name,
        )

    def _show_product(self, session: _Session) -> None:
        session.product_id = 1 + int(_PRODUCTS * self._random.random() ** 2)
        session.category = _CATEGORIES[session.product_id % len(_CATEGORIES)]
        price = exp(_PRICE_MU + _PRICE_SIGMA * self._random.gauss(0, 1))
        session.price = price * session.habits.price_level

    def _price(self, session: _Session) -> float:
        factor = DRIFT_PRICE_FACTOR if self._drifted else 1.0
        return max(0.01, round(session.price * factor, 2))

    @property
    def _drifted(self) -> bool:
        return self._due_s >= self._drift_at_s

    def _go_on(self, session: _Session) -> bool:
        """Choose the session's next action; False when the user leaves."""
        habits, chance = session.habits, self._random.random()
        match session.action:
            case "view":
                onwards, following = _VIEW_TO_CLICK, "click"
            case "click":
                onwards, following = _CLICK_TO_CART * habits.propensity, "cart"
            case "cart":
                onwards, following = _CART_TO_PURCHASE * habits.propensity, "purchase"
                if self._drifted:
                    onwards *= DRIFT_CONVERSION_FACTOR
            case _:
                onwards, following = 0.0, "view"
        if chance < onwards:
            session.action = following
            return True
        session.action = "view"
        return chance < onwards + (1 - onwards) * habits.curiosity


def _coprime_stride(count: int) -> int:
    """Return a step that visits every one of `count` places before any twice."""
    stride = int(count * 0.618) | 1
    while gcd(stride, count) != 1:
        stride += 2
    return stride
