from engine.backends.silence import Silence


def test_server_is_given_up_once_it_has_been_silent_for_too_long():
    silence = Silence(6.0, 100.0)
    found = [silence.record_failure(now_s) for now_s in (103.0, 105.9, 106.0)]
    assert found == [None, None, 6.0]


def test_an_answer_ends_the_silence():
    silence = Silence(6.0, 100.0)
    assert silence.record_failure(105.0) is None
    silence.record_answer(106.0)
    assert [silence.record_failure(now_s) for now_s in (109.0, 111.0, 112.5)] == [None, None, 6.5]


def test_a_pause_of_the_asker_itself_is_no_silence():
    silence = Silence(6.0, 100.0)
    assert silence.record_failure(160.0) is None
    silence.record_answer(160.1)
    assert silence.record_failure(162.0) is None
