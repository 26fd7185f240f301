import resource

from engine.tasks.own_state import OwnState


def test_memory_is_not_known_where_no_descriptor_is_left_to_look(tmp_path):
    own_state = OwnState(tmp_path, [2])
    assert own_state.memory_bytes() > 1 << 20
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        assert own_state.memory_bytes() is None
        assert own_state.reason_to_recycle(1) is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert own_state.reason_to_recycle(1) is not None
