"""What a check of settings against each other has to tell."""

import attrs


@attrs.frozen
class Finding:
    """A rule that is broken. `keys` are the settings it is about, the one to change first."""

    keys: tuple[str, ...]
    found: str
    allowed: str
