"""A producer with a memory of its own: what the broker acknowledged, by partition and offset.

It runs aiokafka on an asyncio loop in its own thread, so that the code under test shares nothing
with it, and can be asked at any time what must be in the data file.
"""

import asyncio
import json
import random
import threading
import time
from types import TracebackType

import attrs
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError


@attrs.frozen
class SentEvent:
    """A message the broker acknowledged; `event` is None where it is malformed on purpose."""

    partition: int
    offset: int
    payload: bytes
    event: dict[str, object] | None


class EventSource:
    """Sends seeded events until stopped; `sent` holds every acknowledged one."""

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        *,
        seed: int,
        users: int = 200,
        events_per_second: float = 2_000.0,
        malformed_rate: float = 0.01,
    ) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._topic = topic
        self._random = random.Random(seed)
        self._users = users
        self._batch = max(1, round(events_per_second / 50))
        self._malformed_rate = malformed_rate
        self._number = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._lock = threading.Lock()
        self._sent: list[SentEvent] = []
        self.unacknowledged = 0
        self.failure: BaseException | None = None

    def sent(self) -> list[SentEvent]:
        """Return what the broker has acknowledged so far."""
        with self._lock:
            return list(self._sent)

    def stop(self) -> None:
        """Send no more, and wait until what was sent is acknowledged or has failed.

        Raises:
          RuntimeError: the producer thread failed.
        """
        self._stop.set()
        self._thread.join(timeout=60)
        if self.failure is not None:
            raise RuntimeError("the event source failed") from self.failure

    def __enter__(self) -> "EventSource":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    async def _run(self) -> None:
        try:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._bootstrap_servers,
                acks="all",
                linger_ms=5,
                # When the broker goes away for good, what is not acknowledged is given up soon.
                request_timeout_ms=5_000,
            )
            await producer.start()
            try:
                while not self._stop.is_set():
                    await self._send_batch(producer)
                    await asyncio.sleep(0.02)
            finally:
                await producer.stop()
        except Exception as error:  # noqa: BLE001 - handed to the thread that calls stop()
            self.failure = error

    async def _send_batch(self, producer: AIOKafkaProducer) -> None:
        waiting = []
        for _ in range(self._batch):
            event = self._next_event()
            payload = b'{"user_id": oops' if event is None else json.dumps(event).encode()
            try:
                future = await producer.send(self._topic, payload)
            except KafkaError:
                # Not even taken: the broker has been out of reach for so long.
                self.unacknowledged += 1
                continue
            waiting.append((future, payload, event))
        for future, payload, event in waiting:
            try:
                record = await future
            except KafkaError:
                # Not acknowledged: it may or may not be in the log, and is owed nothing.
                self.unacknowledged += 1
                continue
            with self._lock:
                self._sent.append(SentEvent(record.partition, record.offset, payload, event))

    def _next_event(self) -> dict[str, object] | None:
        rng = self._random
        self._number += 1
        if rng.random() < self._malformed_rate:
            return None
        late_s = rng.choice([0.0, 0.0, 0.0, 0.0, rng.uniform(0, 600)])
        action = rng.choice(["view", "view", "click", "cart", "purchase"])
        event: dict[str, object] = {
            "user_id": rng.randrange(self._users),
            "action": action,
            "timestamp": round(time.time() - late_s, 6),
            "n": self._number,
        }
        if action == "purchase":
            event["value"] = round(rng.lognormvariate(3, 1), 2)
        return event
