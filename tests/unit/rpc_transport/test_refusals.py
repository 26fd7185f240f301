"""What is told of connections that are turned away."""

import logging

import pytest
import trio

from engine.rpc.transport.refusals import Refusals


@pytest.fixture
def told(caplog):
    caplog.set_level(logging.INFO)
    return lambda: [(one.message, getattr(one, "count", None)) for one in caplog.records]


async def test_the_first_of_a_minute_are_told_the_others_summed_up(told, autojump_clock):
    refusals = Refusals()
    for _ in range(1_000):
        refusals.note("protocol_error", "bad preface")
    for _ in range(5):
        refusals.note("handshake", "timeout")
    assert told() == [("connection refused", None)] * 10
    await trio.sleep(61)
    refusals.sweep(trio.current_time())
    assert told()[10:] == [("more connections refused", 995)]
    refusals.note("protocol_error", "bad preface")
    assert told()[11:] == [("connection refused", None)]


async def test_a_quiet_minute_is_not_summed_up(told, autojump_clock):
    refusals = Refusals()
    refusals.note("handshake", "timeout")
    await trio.sleep(61)
    refusals.sweep(trio.current_time())
    refusals.close()
    assert told() == [("connection refused", None)]


async def test_what_was_not_told_is_summed_up_at_the_end(told, autojump_clock):
    refusals = Refusals()
    for _ in range(11):
        refusals.note("too_many", "too many connections")
    refusals.close()
    assert told()[10:] == [("more connections refused", 1)]
