"""Options that several commands share, and the configuration they lead to."""

import os
from collections.abc import Callable, Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs
import click

if TYPE_CHECKING:  # the overview needs the options, not what they lead to
    from engine.config import EngineConfig
    from engine.config.loader import Check

DEFAULT_CONFIG_DIR: Final = Path(__file__).resolve().parents[2] / "configs"

DEBUG_VARIABLE: Final = "TRELLIS_DEBUG"
"""Set to 1, it makes the program show the traceback of what it reports, and opens its memory."""
OPEN_FOR_DEBUGGERS: Final = ("1", "memory")
"""Values of it that leave the memory open to debuggers; the second does nothing else."""

COMPLETE_VARIABLE: Final = "_TRELLIS_COMPLETE"
"""Names the shell that asks for completions."""

_Function = TypeVar("_Function", bound=Callable[..., Any])


@attrs.define
class CommonOptions:
    """What `--config`, `--data` and `--set` said, on the program or on a command, in that order."""

    config_dir: Path = DEFAULT_CONFIG_DIR
    data_dir: Path | None = None
    overrides: list[str] = attrs.field(factory=list)

    def load(self, extra_checks: "Sequence[Check]" = ()) -> "EngineConfig":
        """Read the configuration and set up logging by it.

        Raises:
          ConfigError: with everything that is wrong.
        """
        from engine.config import find_secrets, load_config  # noqa: PLC0415  see above
        from engine.logs import configure_logging  # noqa: PLC0415

        # Unknown TRELLIS_ variables are errors to the configuration; this one is the program's.
        environ = {name: text for name, text in os.environ.items() if name != DEBUG_VARIABLE}
        config = load_config(self.config_dir, self.data_dir, self.overrides, environ, extra_checks)
        secrets = [secret.reveal() for secret in find_secrets(config)]
        configure_logging(config.log, secrets=secrets)
        return config


def _keep_config(context: click.Context, _parameter: click.Parameter, value: Path | None) -> None:
    if value is not None:
        context.ensure_object(CommonOptions).config_dir = value


def _keep_data(context: click.Context, _parameter: click.Parameter, value: Path | None) -> None:
    if value is not None:
        context.ensure_object(CommonOptions).data_dir = value


def _keep_overrides(
    context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]
) -> None:
    context.ensure_object(CommonOptions).overrides.extend(value)


_COMMON: Final = (
    click.option(
        "--config",
        metavar="DIR",
        type=click.Path(path_type=Path, file_okay=False),
        expose_value=False,
        callback=_keep_config,
        help="Folder of the configuration; default: configs beside main.py.",
    ),
    click.option(
        "--data",
        metavar="DIR",
        type=click.Path(path_type=Path, file_okay=False),
        expose_value=False,
        callback=_keep_data,
        help="Folder of the data file; default: paths.data of the configuration.",
    ),
    click.option(
        "--set",
        metavar="SECTION.KEY=VALUE",
        multiple=True,
        expose_value=False,
        callback=_keep_overrides,
        help="Change one setting; may be repeated.",
    ),
)


def common_options(function: _Function) -> _Function:
    """Add `--config`, `--data` and `--set`, kept in the context's `CommonOptions`."""
    return reduce(lambda decorated, option: option(decorated), reversed(_COMMON), function)


class Duration(click.ParamType[float]):
    """`500ms`, `90s`, `5m`, `24h`, `30d`; as seconds."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        from engine.config.units import parse_duration_s  # noqa: PLC0415  see above

        seconds = parse_duration_s(value) if isinstance(value, str) else None
        if seconds is None:
            self.fail(f"{value!r} is no duration such as 90s, 5m, 24h or 30d", param, ctx)
        return seconds


_TRAFFIC: Final = (
    click.option(
        "--events-per-second",
        type=float,
        metavar="RATE",
        help="Mean rate over a shop day; default: 200, and unpaced with --replay.",
    ),
    click.option("--users", type=int, metavar="N", help="Users of the shop; default: 1000."),
    click.option("--seed", type=int, metavar="N", help="Same seed, same events; default: 1."),
    click.option(
        "--malformed-rate",
        type=float,
        metavar="SHARE",
        help="Malformed messages for each event, besides it; default: 0.0005.",
    ),
    click.option(
        "--drift-at",
        "drift_at_s",
        type=Duration(),
        metavar="DURATION",
        help="After so long, spend triples and half as many carts are bought.",
    ),
    click.option(
        "--day",
        "day_s",
        type=Duration(),
        metavar="DURATION",
        help="Length of a shop day, in which the rate rises and falls; default: 24h.",
    ),
)


def traffic_options(function: _Function) -> _Function:
    """Add the options of synthetic traffic, named as the fields of `GeneratorSettings`."""
    return reduce(lambda decorated, option: option(decorated), reversed(_TRAFFIC), function)


def given(options: dict[str, Any]) -> dict[str, Any]:
    """Return the options that were given, so that the others keep their default elsewhere."""
    return {name: value for name, value in options.items() if value is not None}


VALUE_OPTIONS: Final = (
    "--config",
    "--data",
    "--set",
    "--events-per-second",
    "--users",
    "--seed",
    "--malformed-rate",
    "--drift-at",
    "--day",
)
"""Options of the program and of `run` that take a value."""
