"""What an upload is known again by: rows of `upload_keys`, of which the last upload owns each."""


def key_of_sender(idempotency_key: str) -> str:
    """Return the key for what the sender calls the upload."""
    return f"key/{idempotency_key}"


def key_of_content(dataset: str, sha256: str) -> str:
    """Return the key for what the file holds, and for which dataset."""
    return f"content/{dataset}/{sha256}"


def key_of_successor(upload_id: str) -> str:
    """Return the key of the upload that was taken in place of one that had failed."""
    return f"in_place_of/{upload_id}"
