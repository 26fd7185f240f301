"""Stacks in few words."""

import faulthandler
import tempfile
import threading

from engine.workers.stack_text import summarize_stack


def _innermost() -> str:
    with tempfile.TemporaryFile() as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        return file.read().decode()


def _outer() -> str:
    return _innermost()


def test_the_innermost_calls_of_the_main_thread_are_told() -> None:
    finished = threading.Event()
    other = threading.Thread(target=finished.wait)
    other.start()
    try:
        told = summarize_stack(_outer())
    finally:
        finished.set()
        other.join()

    first, second, third = told.split(" < ")
    assert first.startswith("_innermost (test_stack_text.py:")
    assert second.startswith("_outer (test_stack_text.py:")
    assert third.startswith("test_the_innermost_calls_of_the_main_thread_are_told (")


def test_of_what_is_no_stack_nothing_is_told() -> None:
    assert summarize_stack("") == ""
    assert summarize_stack("no stacks: the process has ended") == ""
    assert summarize_stack("Segmentation fault\nbye") == ""
