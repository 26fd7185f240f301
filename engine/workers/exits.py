"""The exit codes by which a worker process says why it left."""

import enum


class WorkerExit(enum.IntEnum):
    """Why a worker process ended by itself.

    Any other code, or a signal, means that it died. So does one of these when the worker's page
    shows a job in hand: a job's code may call `os._exit` with whatever it likes.
    """

    LEFT = 0
    """It was told to drain or to make room for a fresh process."""

    RECYCLED = 64
    """It asks to be replaced: so many jobs done, memory grown, or a job left it in a bad state."""

    LEASE_LOST = 65
    """It was told that it had been given up."""

    ENGINE_GONE = 66
    """Nobody answered its checks for long."""

    FAULTY = 70
    """Its own machinery failed; its last output says how."""
