"""What a worker logs: lines on its standard error, which its host puts into the engine's log."""

import logging
import sys
from typing import Final

_FORMAT: Final = "%(levelname)s %(name)s: %(message)s"


def configure_worker_log(level: str) -> None:
    """Log to standard error, each line with its level first, where the host looks for it.

    Raises:
      ValueError: no level is named so.
    """
    logging.basicConfig(stream=sys.stderr, format=_FORMAT, level=level.upper(), force=True)
    logging.captureWarnings(capture=True)
