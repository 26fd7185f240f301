"""Becomes a server that cannot outlive the engine. Run as a script: `launcher.py PARENT ARGV...`.

The request that the kernel kill a process when its parent dies must come from that process itself,
between fork and exec. Python's hook for that place (`preexec_fn`) runs interpreter code in a copy
of a process whose other threads, with their locks, are gone (DuckDB's and Arrow's among them), so
it can deadlock; it also forces a full fork, which copies the page tables of a large engine, where
`vfork` would do. This small program in between costs 20 ms a start and has neither problem.

Only Linux has that request. Elsewhere the servers outlive an engine that is killed; the next engine
on the same folder ends such a redis-server, a leftover broker holds nothing but its port.

Imports nothing but the standard library: it runs isolated, without site packages.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_CANNOT_EXECUTE = 127  # what a shell answers in this case
_ORPHANED = 126


def main(arguments: list[str]) -> int:
    parent, program, *rest = arguments
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            print(f"ERROR prctl: {os.strerror(ctypes.get_errno())}", flush=True)  # noqa: T201
            return _CANNOT_EXECUTE
    # The request holds for deaths from now on; one that came before shows in the parent's number.
    if os.getppid() != int(parent):
        return _ORPHANED
    # The interpreter ignores these, and ignored signals stay ignored across exec: a server would
    # go on writing to a closed connection. The mask is inherited too.
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    try:
        os.execv(program, [program, *rest])  # noqa: S606 - the point of this program
    except OSError as error:
        print(f"ERROR cannot execute {program}: {error.strerror}", flush=True)  # noqa: T201
        return _CANNOT_EXECUTE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
