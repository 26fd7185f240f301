"""What a `process_upload` job is told."""

import msgspec


class _Payload(msgspec.Struct):
    upload_id: str


def read_upload_id(payload_json: str) -> str:
    """Return which upload a job processes. Raises msgspec.DecodeError if it says of none."""
    return msgspec.json.decode(payload_json, type=_Payload).upload_id
