"""A value that is used but never shown."""

import hmac
from typing import NoReturn, Self

MASK = "***"


class Secret:
    """Text that prints as `***` wherever it could be printed.

    Not a `str`: code that forgets `reveal()` fails type checking instead of leaking, `json.dumps`
    refuses it (or writes `***` with `default=str`), and pickling raises, since bytes on a pipe or
    a disk are out of this type's reach.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the text itself, for the one call that needs it."""
        return self._value

    def __repr__(self) -> str:
        return MASK

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # Constant time, so that comparing a caller's token with ours tells nothing by its duration.
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")
