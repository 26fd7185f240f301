"""Where what is being written waits until it is complete, and what a killed engine left there."""

from pathlib import Path

from engine.backends.folder import make_private_folder


def open_incoming(folder: Path) -> Path:
    """Make the folder `incoming` in a folder where it is missing, and remove what lies in there.

    The caller holds the folder, so nobody else is writing there.

    Raises:
      FailedPreconditionError: it cannot be made, or is somebody else's.
      OSError: a leftover cannot be removed.
    """
    incoming = make_private_folder(folder / "incoming")
    for leftover in incoming.iterdir():
        leftover.unlink()
    return incoming
