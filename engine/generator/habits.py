"""Who the users are: each one's habits follow from the seed and the user's id alone.

Nothing is kept per user, so that a shop of ten million users starts as fast as one of ten.
"""

import struct
from hashlib import blake2b
from math import exp
from statistics import NormalDist
from typing import Final

import attrs

_NORMAL: Final = NormalDist()
_UNIFORMS: Final = struct.Struct("<4I")
_UINT32_RANGE: Final = 2.0**32

# (share of the users, hour they like best, spread in hours)
_CROWDS: Final = ((0.65, 20.0, 2.5), (0.25, 12.5, 1.5), (1.0, 8.0, 1.5))

_PRICE_SPREAD: Final = 0.35  # log-normal: two thirds pay between 0.7 and 1.4 times the middle price
_HOUR_WIDTH: Final = 3.0  # hours around the favourite one in which a user is mostly seen
_OFF_HOURS: Final = 0.1  # chance, against the favourite hour, of being seen at any other


@attrs.frozen
class Habits:
    """What is typical of one user.

    Attributes:
      favourite_hour: hour of the shop day, 0 to 24, around which the user is mostly seen.
      price_level: factor on the prices of what the user picks, around 1.
      propensity: factor on the chance to go on towards a purchase, 0.4 to 1.6.
      curiosity: chance to look at another product instead of leaving, 0.6 to 0.9.
    """

    favourite_hour: float
    price_level: float
    propensity: float
    curiosity: float

    def presence(self, hour: float) -> float:
        """Return how likely the user is seen at an hour, against the favourite one (1)."""
        distance = abs(hour - self.favourite_hour)
        distance = min(distance, 24.0 - distance)
        return _OFF_HOURS + (1 - _OFF_HOURS) * exp(-0.5 * (distance / _HOUR_WIDTH) ** 2)


def compute_habits(seed: int, user_id: int) -> Habits:
    """Return a user's habits."""
    digest = blake2b(b"%d/%d" % (seed, user_id), digest_size=_UNIFORMS.size).digest()
    # Half a step in from both ends: the normal quantile is infinite at 0 and 1.
    hour, price, propensity, curiosity = (
        (number + 0.5) / _UINT32_RANGE for number in _UNIFORMS.unpack(digest)
    )
    return Habits(
        favourite_hour=_favourite_hour(hour),
        price_level=exp(_PRICE_SPREAD * _NORMAL.inv_cdf(price)),
        propensity=0.4 + 1.2 * propensity,
        curiosity=0.6 + 0.3 * curiosity,
    )


def _favourite_hour(uniform: float) -> float:
    for share, hour, spread in _CROWDS:
        if uniform < share:
            return (hour + spread * _NORMAL.inv_cdf(uniform / share)) % 24.0
        uniform = (uniform - share) / (1.0 - share)
    raise AssertionError("the last crowd takes everyone who is left")
