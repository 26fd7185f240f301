import contextlib
import os
import resource
import socket

from engine.workers import zygote_wire


@contextlib.contextmanager
def no_descriptor_left():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_descriptors_travel_with_their_message():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        zygote_wire.send(ours, {"op": "x"}, (ours.fileno(),))
        message, [descriptor] = zygote_wire.receive(theirs)
        assert message == {"op": "x"}
        assert os.path.samestat(os.fstat(descriptor), os.fstat(ours.fileno()))
        os.close(descriptor)


def test_a_message_arrives_where_no_descriptor_is_left_for_what_came_with_it():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        zygote_wire.send(ours, {"op": "x"}, (ours.fileno(),))
        with no_descriptor_left():
            assert zygote_wire.receive(theirs) == ({"op": "x"}, [])
