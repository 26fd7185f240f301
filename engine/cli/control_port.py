"""Calls to the control port by who may read the data folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import attrs

from engine.cli.client import TokenRefusedError, open_service
from engine.cli.running import RunningEngine
from engine.config import EngineConfig, Secret
from engine.control_token import FILE_NAME
from engine.errors import TrellisError, UnavailableError
from engine.rpc import Servicer

_PORT: Final = "control"


@contextmanager
def open_control_service(
    engine: RunningEngine, servicer: type[Servicer], config: EngineConfig
) -> Iterator[Any]:
    """As `open_service`, on the control port, with the token that the engine has left.

    Raises:
      UnavailableError: the engine there has another token: it is not the one of before.
      TrellisError: the token cannot be read, and as `open_service`.
    """
    path = config.paths.data / FILE_NAME
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise TrellisError(
            f"{path} cannot be read ({error}); run this as the user that runs the engine"
        ) from error
    security = attrs.evolve(config.security, auth_token=Secret(token))
    try:
        with open_service(engine, _PORT, servicer, security) as service:
            yield service
    except TokenRefusedError as error:
        raise UnavailableError(
            f"the engine does not take the token that was in {path}: it has been started anew "
            "since; run this again"
        ) from error
