"""Stacks as `faulthandler` writes them, in few words."""

import re
from pathlib import PurePath
from typing import Final

_FRAMES_SHOWN: Final = 3

_THREAD: Final = re.compile(
    r"^(?:(?:Current thread|Thread) 0x.*|Stack \(most recent call first\):)$", re.MULTILINE
)
_FRAME: Final = re.compile(r'^ +File "(.*)", line (\d+) in (.*)$', re.MULTILINE)


def summarize_stack(stack: str) -> str:
    """Return what the main thread was doing, the innermost call first; empty if that is not told.

    Args:
      stack: the stacks of all threads, the main thread's last.
    """
    frames = _FRAME.findall(_THREAD.split(stack)[-1])[:_FRAMES_SHOWN]
    return " < ".join(f"{name} ({PurePath(file).name}:{line})" for file, line, name in frames)
