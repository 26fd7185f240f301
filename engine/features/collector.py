"""Keeps Python's garbage collector from going over the online store again and again."""

import atexit
import gc

_STEP_BYTES = 4 << 20
"""Some 5,000 entities, 20,000 objects: going over them once, and never again, takes 5 ms."""


class CollectorRelief:
    """Sets what the store has taken in apart from what is collected, a step at a time.

    The store holds millions of objects, none of which is ever part of a cycle: counting references
    frees them. A collection that goes over all of them stops the event loop for hundreds of
    milliseconds, one of what has come since the last step for some. Cycles that are alive at a step
    and garbage later stay in memory; steps are as rare as the store's growth, which bounds that.
    """

    def __init__(self) -> None:
        self._done_bytes = 0
        # Libraries look at the end whether all of theirs has been freed.
        atexit.register(gc.unfreeze)

    def grow_to(self, taken_in_bytes: int) -> None:
        """Set apart what there is if enough has come since the last time.

        Args:
          taken_in_bytes: the estimated size of all that the store has ever taken in.
        """
        if taken_in_bytes - self._done_bytes >= _STEP_BYTES:
            self.set_apart(taken_in_bytes)

    def set_apart(self, taken_in_bytes: int) -> None:
        """Set apart what there is, the program's own modules too if this is the first time."""
        self._done_bytes = taken_in_bytes
        # What is garbage already must not be kept for ever.
        gc.collect()
        gc.freeze()
