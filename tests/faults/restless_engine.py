"""The real program with a retention that moves few rows at once and hardly rests.

Usage: as main.py. So that a step is under way at whatever moment something happens, where it would
otherwise be so for some seconds of a day.
"""

import functools
import sys
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
STEP_ROWS: Final = 300


def _hurry() -> None:
    from engine.retention import retention

    quick: Any = functools.partial(
        retention.Pace,
        step_rows=STEP_ROWS,
        longest_rest_s=0.2,
        visit_s=0.5,
        first_delay_s=0.5,
        longest_delay_s=2.0,
    )
    vars(retention)["Pace"] = quick


if __name__ == "__main__":
    # As for main.py, whose folder is where workers import from, too.
    sys.path[0] = str(ROOT)
    from engine import early_stop

    early_stop.arm()
    from engine.cli import main

    _hurry()
    main()
