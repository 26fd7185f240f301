"""Handlers of jobs for tests of workers."""

import ctypes
import logging
import os
import re
import signal
import subprocess
import sys
import threading
import time

from engine.tasks.errors import PermanentJobError


def echo(job):
    return {"payload": dict(job.payload), "pid": os.getpid()}


def fail(job):
    raise ValueError(job.payload["text"])


def refuse(job):
    raise PermanentJobError("bad_input", "never")


def sleep(job):
    time.sleep(job.payload.get("seconds", 600))
    return {"slept": True}


def log_and_sleep(job):
    logging.getLogger("shop").warning("as it was asked")
    time.sleep(job.payload["seconds"])


def sleep_in_c(job):
    ctypes.CDLL(None).sleep(600)


def hold_lock(job):
    ctypes.PyDLL(None).sleep(600)


def backtrack(job):
    re.fullmatch(r"(a+)+b", "a" * 60)


def loop(job):
    while True:
        pass


def progress(job):
    for step in range(1_000_000):
        job.advance(total=1_000_000, note=f"step {step}")
        job.count("steps")
        time.sleep(0.01)


def leave(job):
    sys.exit(3)


def exit_hard(job):
    os._exit(0)


def close_descriptors(job):
    os.closerange(0, 256)


def fill_standard_error(job):
    """Leave standard error without room for another word."""
    _, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, bytes(65_536))
    except BlockingIOError:
        os.set_blocking(writing, True)
    os.dup2(writing, 2)
    time.sleep(600)


def leave_thread(job):
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()


def leave_daemon(job):
    """Leave a daemon in a session of its own, with no environment and no descriptors."""
    program = (
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid(); os.closerange(0, 256); os.chdir('/')\n"
        "    time.sleep(600)\n"
    )
    subprocess.run([sys.executable, "-c", program], env={}, check=True)
    job.advance(note="daemon left")
    time.sleep(600)


def stick_when_done(job):
    """Leave behind what never lets the worker take another job."""

    def stick(frame, event, argument):
        if frame.f_code.co_name == "_take":
            threading.Event().wait()

    sys.setprofile(stick)
    time.sleep(0.5)


def leave_child(job):
    child = os.fork()
    if child == 0:
        time.sleep(600)
        os._exit(0)
    return {"pid": child}


def leave_grandchild(job):
    reading, writing = os.pipe()
    between = os.fork()
    if between == 0:
        os.setsid()
        daemon = os.fork()
        if daemon == 0:
            time.sleep(600)
        os.write(writing, str(daemon).encode())
        os._exit(0)
    os.waitpid(between, 0)
    return {"pid": int(os.read(reading, 100))}


def hog(job):
    bytearray(1 << 50)


def upload(job):
    """Send back the file's lines as rows while it is being read."""
    import pyarrow as pa

    from engine.tasks.parsing import Batch

    def parts():
        for chunk in job.read_upload(job.payload["upload_id"]):
            values = [str(len(chunk))] * job.payload.get("rows_a_chunk", 1)
            yield Batch(pa.record_batch({"x": values}), ())

    job.stage_rows(job.payload["upload_id"], parts())
    return {}


def reject(job):
    import pyarrow as pa

    from engine.tasks.parsing import Batch, Reject

    row = Reject(3, "age", "type", "not a number", "abc")
    job.stage_rows(job.payload["upload_id"], [Batch(pa.record_batch({"x": []}), (row,))])


_KEPT = []


def take_memory(job):
    """Take so many MiB, for good, and then some time."""
    for _ in range(job.payload["mib"]):
        _KEPT.append(os.urandom(1024) * 1024)
        job.advance()
    time.sleep(job.payload.get("seconds", 0))


def die(job):
    os.kill(os.getpid(), signal.SIGKILL)
