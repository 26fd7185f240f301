"""The same command line for every peer: `fill COUNT`, `work LOG SECONDS`, `traffic PER_SECOND`."""

import sys
import time
from collections.abc import Callable


def send_from_command_line(noop: Callable[[], object], work: Callable[..., object]) -> None:
    """Send jobs with a peer's own calls, as the command line says."""
    match sys.argv[1:]:
        case ["fill", count]:
            for _ in range(int(count)):
                noop()
        case ["work", log, seconds]:
            work(log, float(seconds))
        case ["traffic", per_second]:
            while True:
                noop()
                time.sleep(1 / float(per_second))
        case other:
            raise SystemExit(f"fill COUNT, work LOG SECONDS or traffic PER_SECOND, not {other}")
