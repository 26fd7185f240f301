import os
import socket

import pytest

from engine.tasks.guarded import GuardedConnection
from engine.tasks.link import EngineUnreachableError


class SocketChannel:
    """A channel that is one end of a socket pair."""

    def __init__(self):
        self._ours, self._theirs = socket.socketpair()
        self.abandoned = 0

    @property
    def descriptor(self):
        return self._ours.fileno() if self._ours.fileno() >= 0 else None

    def abandon(self):
        self.abandoned += 1
        self._ours.detach()
        self._theirs.close()
        self._ours, self._theirs = socket.socketpair()

    def close(self):
        self._ours.close()
        self._theirs.close()


class LostError(Exception):
    """What a call raises that was cut off."""


@pytest.fixture
def connection():
    connection = GuardedConnection(SocketChannel())
    with connection.guarded():
        pass
    yield connection
    connection.close()


def test_own_descriptor_is_used_again(connection):
    with connection.guarded():
        assert connection.channel.abandoned == 0


def test_closed_descriptor_is_abandoned_before_it_is_used(connection):
    os.close(connection.channel.descriptor)
    with connection.guarded():
        assert connection.channel.abandoned == 1


def test_file_that_got_the_number_is_neither_written_to_nor_closed(connection, tmp_path):
    number = connection.channel.descriptor
    os.close(number)
    # As a job does that closes all descriptors and then opens its own.
    other = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    if other != number:
        os.dup2(other, number)
        os.close(other)
    with connection.guarded():
        assert connection.channel.abandoned == 1
    os.write(number, b"still open")
    os.close(number)


def test_descriptor_that_is_closed_during_a_call_makes_it_fail(connection):
    with pytest.raises(EngineUnreachableError), connection.guarded():  # noqa: PT012
        os.close(connection.channel.descriptor)
        raise OSError(9, "Bad file descriptor")


def test_error_of_what_is_sent_is_not_the_connections(connection):
    with pytest.raises(FileNotFoundError), connection.guarded():
        raise FileNotFoundError


def test_connection_that_the_channel_itself_has_lost_is_nobodys_fault(connection, caplog):
    with pytest.raises(LostError), connection.guarded():  # noqa: PT012
        connection.channel.close()
        raise LostError
    with connection.guarded():
        assert connection.channel.abandoned == 0
    assert not caplog.records
