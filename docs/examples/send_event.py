"""Sends one event as any producer would: JSON to the topic of a running engine.

Usage: python docs/examples/send_event.py DATA_FOLDER USER_ID ACTION [VALUE]
"""

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from aiokafka import AIOKafkaProducer


def main(data_folder: str, user_id: str, action: str, value: str | None = None) -> None:
    engine = json.loads(Path(data_folder, "engine.json").read_text())
    event = {
        "user_id": int(user_id),
        "action": action,
        "timestamp": datetime.now(UTC).isoformat(),
        "value": float(value) if value else None,
    }
    asyncio.run(send(engine["kafka"], engine["topic"], json.dumps(event).encode()))


async def send(bootstrap_servers: str, topic: str, message: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap_servers) as producer:
        await producer.send_and_wait(topic, message)


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    main(*sys.argv[1:])
