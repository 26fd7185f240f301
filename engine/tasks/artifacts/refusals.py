"""Why an artifact is not used."""

from typing import Final

from engine.tasks.errors import PermanentJobError

TAMPERED: Final = "tampered_artifact"
"""The bytes are not those that were registered."""
MALFORMED: Final = "malformed_artifact"
"""It is no file of ours, or a broken one."""
UNTRUSTED: Final = "untrusted_artifact"
"""It holds something that is not on the list."""
OTHER_LIBRARY: Final = "other_library"
"""It was made with another scikit-learn."""
TOO_LARGE: Final = "artifact_too_large"


class ArtifactRefusedError(PermanentJobError):
    """The artifact is not used, and nothing of it was run; `code` and message say why."""
