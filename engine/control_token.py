"""Tokens of this start, for those who may read the data folder."""

import secrets
from pathlib import Path
from typing import Final

from engine.private_files import write_private

FILE_NAME: Final = "control-token"
_TOKEN_BYTES: Final = 32


def make_control_token(data_dir: Path, configured: str | None) -> str:
    """Return the token of the control port, left in `data_dir/control-token`; see `make_token`."""
    return make_token(data_dir, FILE_NAME, configured)


def make_token(data_dir: Path, file_name: str, configured: str | None) -> str:
    """Return a token, and leave it in a file of `data_dir`, readable by the owner alone.

    Args:
      configured: the token to use, ASCII; None for one of this start, which ends with it.
    Raises:
      FailedPreconditionError: the folder takes no file.
    """
    token = configured or secrets.token_urlsafe(_TOKEN_BYTES)
    write_private(data_dir / file_name, token + "\n")
    return token
