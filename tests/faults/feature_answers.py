"""Feature values from the running engine, and past answers asked for again."""

import time
import urllib.request
from collections.abc import Callable, Iterable, Sequence

import grpc

from proto.trellis.v1 import features_pb2
from tests.support.engine_process import EngineProcess

EVENTS = "trellis_intake_events_total"
REJECTED = "trellis_intake_rejected_total"
LAG = "trellis_intake_lag_messages"
_LAG_AGE_S = 2.0
"""The engine looks once a second."""


def wait_until_consumed(engine: EngineProcess, messages: int, timeout_s: float = 30.0) -> None:
    """Wait until the engine has committed so many messages since it started, and sees no lag.

    Raises:
      TimeoutError: it has not; the message holds the log's end.
    """

    seen, since_s = -1.0, time.monotonic()

    def consumed() -> bool:
        nonlocal seen, since_s
        done = (read_metric(engine, EVENTS) or 0) + (read_metric(engine, REJECTED) or 0)
        if done != seen or read_metric(engine, LAG) != 0:
            seen, since_s = done, time.monotonic()
        # The lag is of the engine's last look: it may be older than the last message.
        return done >= messages and time.monotonic() - since_s > _LAG_AGE_S

    wait_until(engine, f"{messages} messages", consumed, timeout_s)


def wait_until_consuming(engine: EngineProcess, timeout_s: float = 30.0) -> None:
    """Wait until the engine has committed events since it started.

    Raises:
      TimeoutError: it has not; the message holds the log's end.
    """
    wait_until(engine, "events", lambda: bool(read_metric(engine, EVENTS)), timeout_s)


def read_metric(engine: EngineProcess, name: str) -> float | None:
    """Return a metric's sum over its labels; None while it has no value."""
    with urllib.request.urlopen(f"http://{engine.address('metrics')}/metrics", timeout=5) as reply:
        lines = reply.read().decode().splitlines()
    values = [
        float(line.rsplit(" ", 1)[1])
        for line in lines
        if line.startswith((f"{name}{{", f"{name} "))
    ]
    return sum(values) if values else None


def wait_until(
    engine: EngineProcess, what: str, holds: Callable[[], bool], timeout_s: float
) -> None:
    give_up_at_s = time.monotonic() + timeout_s
    while time.monotonic() < give_up_at_s:
        if holds():
            return
        time.sleep(0.05)
    raise TimeoutError(f"{what}: not within {timeout_s:g} s\n{engine.log_tail()}")


class FeatureAnswers:
    """A gRPC client of a running engine; a context manager."""

    def __init__(self, engine: EngineProcess) -> None:
        self._channel = grpc.insecure_channel(engine.address("service_b"))
        self._get = self._channel.unary_unary(
            "/trellis.v1.FeatureService/GetFeatures",
            request_serializer=features_pb2.GetFeaturesRequest.SerializeToString,
            response_deserializer=features_pb2.GetFeaturesResponse.FromString,
        )

    def online(self, user_id: int, features: Sequence[str]) -> features_pb2.GetFeaturesResponse:
        """Ask for the features as they are now."""
        request = features_pb2.GetFeaturesRequest(entity_key=user_id, features=features)
        return self._get(request, timeout=10)

    def again(self, answer: features_pb2.GetFeaturesResponse) -> features_pb2.GetFeaturesResponse:
        """Ask history for a past answer: the same moment, at the same commit."""
        request = features_pb2.GetFeaturesRequest(
            entity_key=answer.entity_key,
            features=[value.name for value in answer.features],
            as_of=answer.as_of,
            commit_seq=answer.commit_seq,
        )
        return self._get(request, timeout=10)

    def changed(self, answers: Iterable[features_pb2.GetFeaturesResponse]) -> list[str]:
        """Ask for past answers again and return every difference."""
        found = []
        for answer in answers:
            again = self.again(answer)
            for then, now in zip(answer.features, again.features, strict=True):
                if now != then:
                    found.append(f"user {answer.entity_key}: answered {then}, asked again {now}")
        return found

    def __enter__(self) -> "FeatureAnswers":
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()
