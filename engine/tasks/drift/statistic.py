"""What a test of significance finds."""

import attrs


@attrs.frozen
class Statistic:
    """A test's statistic, and by what probability chance alone makes one as large."""

    value: float
    p_value: float
