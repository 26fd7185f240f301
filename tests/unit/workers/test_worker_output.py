import logging

from hypothesis import given
from hypothesis import strategies as st

from engine.workers.output import ProcessOutput


def logged(caplog):
    return [record.line for record in caplog.records if hasattr(record, "line")]


def test_lines_are_put_together_whatever_the_pieces(caplog):
    caplog.set_level(logging.INFO)
    output = ProcessOutput("output", {"worker": "w1"})
    for piece in (b"on", b"e\n  tw", b"o\nthr"):
        output.feed(piece, 0.0)
    assert logged(caplog) == ["one", "  two"]
    assert output.last_lines == ("one", "  two")


def test_level_is_that_of_the_worker(caplog):
    caplog.set_level(logging.DEBUG)
    ProcessOutput("output", {}).feed(b"WARNING low\nWARNINGS\nplain\nCRITICAL: end\n", 0.0)
    assert [r.levelname for r in caplog.records] == ["WARNING", "INFO", "INFO", "CRITICAL"]


def test_flood_is_cut_counted_and_its_end_remembered(caplog):
    caplog.set_level(logging.INFO)
    output = ProcessOutput("output", {})
    output.feed(b"".join(b"%d\n" % n for n in range(10_000)), 0.0)
    assert logged(caplog) == [str(n) for n in range(200)]
    assert output.last_lines == tuple(str(n) for n in range(9_980, 10_000))
    output.feed(b"later\n", 1.0)
    [dropped] = [r.lines for r in caplog.records if hasattr(r, "lines")]
    assert dropped == 9_800
    assert logged(caplog)[-1] == "later"


def text(output):
    return "".join(output.last_lines)


@given(st.lists(st.integers(0, 500), max_size=8))
def test_no_line_is_lost_without_being_counted(counts):
    output = ProcessOutput("output", {})
    heard, dropped = [], []

    class Listener(logging.Handler):
        def emit(self, record):
            if hasattr(record, "lines"):
                dropped.append(record.lines)
            else:
                heard.append(record.line)

    logger = logging.getLogger("engine.workers.output")
    listener = Listener()
    logger.addHandler(listener)
    logger.setLevel(logging.INFO)
    try:
        for now, count in enumerate(counts):
            output.feed(b"".join(b"line %d\n" % n for n in range(count)), float(now))
        output.feed(b"last\n", 1e6)
    finally:
        logger.removeHandler(listener)
        logger.setLevel(logging.NOTSET)
    assert len(heard) + sum(dropped) == sum(counts) + 1


@given(st.binary(max_size=5_000))
def test_anything_is_remembered_safely(data):
    output = ProcessOutput("output", {})
    output.feed(data + b"\n", 0.0)
    assert not any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in text(output))
    assert all(len(line) < 10_000 for line in output.last_lines)


def test_a_line_about_a_job_names_it_and_its_request(caplog):
    caplog.set_level(logging.INFO)
    job_id = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    ProcessOutput("output", {}).feed(
        f"WARNING job.score [job {job_id} request r-1:2]: low: [job]\n"
        f"INFO job.score [job {job_id}]: alone\n"
        f"print [job {job_id}]: no log\n"
        f"INFO job.score [job {job_id} request a b]: no id\n".encode(),
        0.0,
    )
    facts = [
        {name: vars(record).get(name) for name in ("job_id", "request_id", "line")}
        for record in caplog.records
    ]
    assert facts == [
        {"job_id": job_id, "request_id": "r-1:2", "line": "WARNING job.score: low: [job]"},
        {"job_id": job_id, "request_id": None, "line": "INFO job.score: alone"},
        {"job_id": None, "request_id": None, "line": f"print [job {job_id}]: no log"},
        {
            "job_id": None,
            "request_id": None,
            "line": f"INFO job.score [job {job_id} request a b]: no id",
        },
    ]
