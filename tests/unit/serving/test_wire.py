"""What workers write is what the engine reads."""

import numpy as np
import pyarrow as pa
import pytest
import trio

from engine.serving.prediction_log import is_sampled
from engine.serving.rows import Request, Row, Score
from engine.serving.wire import BadPredictionsError, decode_scores, encode_rows
from engine.tasks.artifacts import Predictions
from engine.tasks.score import encode_predictions


def test_probabilities_of_classes_arrive_to_the_last_bit():
    made = np.array([[0.1 + 0.2, 1 - (0.1 + 0.2)], [1e-300, 1.0]])
    content = encode_predictions(Predictions(made[:, 1], made, (False, True)))
    assert decode_scores(content, 2) == [
        Score("true", made[0, 1], ("false", "true"), tuple(made[0])),
        Score("true", 1.0, ("false", "true"), (1e-300, 1.0)),
    ]


def test_of_many_classes_the_score_is_that_of_the_predicted_one():
    made = np.array([[0.2, 0.5, 0.3]])
    content = encode_predictions(Predictions(made.max(axis=1), made, ("a", "b", "c")))
    [score] = decode_scores(content, 1)
    assert (score.label, score.score, score.classes) == ("b", 0.5, ("a", "b", "c"))


def test_a_regression_has_a_number_only():
    content = encode_predictions(Predictions(np.array([1.5, -2.0])))
    assert decode_scores(content, 2) == [Score("", 1.5, (), ()), Score("", -2.0, (), ())]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"", 1),
        (b"nonsense", 1),
        (encode_predictions(Predictions(np.array([1.5]))), 2),
    ],
)
def test_what_are_no_predictions_is_refused(content, rows):
    with pytest.raises(BadPredictionsError):
        decode_scores(content, rows)


def test_predictions_without_classes_are_refused():
    sink = pa.BufferOutputStream()
    batch = pa.record_batch({"label": pa.array([0], pa.int32()), "0": pa.array([1.0])})
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    with pytest.raises(BadPredictionsError):
        decode_scores(bytes(sink.getvalue()), 1)


def test_rows_keep_their_types_and_what_is_missing():
    schema = pa.schema(
        [("n", pa.int64()), ("x", pa.float64()), ("s", pa.string()), ("b", pa.bool_())]
    )
    values = [(2**53 + 1, 0.1, "é", True), (None, None, None, None)]
    rows = [Row(one, Request(1), 0, 0.0) for one in values]
    with pa.ipc.open_stream(encode_rows(schema, rows)) as reader:
        table = reader.read_all()
    assert table.schema == schema
    assert [tuple(one.values()) for one in table.to_pylist()] == values


def test_which_predictions_are_kept_is_decided_by_their_ids_alone():
    ids = [f"01M84BX14AJ07GQT3W0EZZ{n:04d}" for n in range(4_000)]
    kept = [one for one in ids if is_sampled(one, 0.25)]
    assert kept == [one for one in ids if is_sampled(one, 0.25)]
    assert 800 < len(kept) < 1_200
    assert all(is_sampled(one, 1.0) for one in ids)
    assert not any(is_sampled(one, 0.0) for one in ids)


async def test_a_caller_gets_its_scores_in_order_and_is_gone_when_it_leaves():
    request = Request(2)
    second, first = Score("", 2.0, (), ()), Score("", 1.0, (), ())
    request.take(1, second)
    request.take(0, first)
    assert await request.wait() == [first, second]
    left = Request(1)
    with trio.move_on_after(0):
        await left.wait()
    assert left.is_gone
