"""A click group that runs a default command and imports a command only when it is used."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import click
from click.shell_completion import CompletionItem


@attrs.frozen
class LazyCommand:
    """Where a command is, and what the overview says of it.

    The engine's parts take over a second to import; an overview or a misspelt name must not.
    """

    module: str
    attribute: str
    summary: str


class LazyGroup(click.Group):
    """Commands by name, imported on use; without a command's name the default one is meant."""

    def __init__(
        self,
        *args: Any,
        lazy_commands: Mapping[str, LazyCommand],
        default: str,
        value_options: Sequence[str],
        before_import: Callable[[str], None] = lambda name: None,
        **kwargs: Any,
    ) -> None:
        """Make a group.

        Args:
          lazy_commands: the commands by name, in the order of the overview.
          default: the command that is meant when none is named.
          value_options: options of the group and of the default command that take a value, to
            tell a value from a command's name.
          before_import: called with the name of a command that is about to be imported.
        """
        super().__init__(*args, **kwargs)
        self._lazy_commands = lazy_commands
        self._default = default
        self._before_import = before_import
        self._value_options = frozenset(value_options)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._lazy_commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        lazy = self._lazy_commands.get(cmd_name)
        if lazy is None:
            return None
        self._before_import(cmd_name)
        command = getattr(importlib.import_module(lazy.module), lazy.attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, c.summary) for name, c in self._lazy_commands.items()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not self._names_command(args) and self._is_meant(ctx, args):
            args = [self._default, *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Complete commands, without importing them, and options, the default command's, too."""
        if not incomplete.startswith("-"):
            return [
                CompletionItem(name, help=command.summary)
                for name, command in self._lazy_commands.items()
                if name.startswith(incomplete)
            ]
        default = self.get_command(ctx, self._default)
        assert default is not None
        others = click.Context(default, parent=ctx, resilient_parsing=True)
        found = [
            *click.Command.shell_complete(self, ctx, incomplete),
            *default.shell_complete(others, incomplete),
        ]
        return [*{item.value: item for item in reversed(found)}.values()][::-1]

    def _is_meant(self, ctx: click.Context, args: Sequence[str]) -> bool:
        """Tell whether the default command is meant where none is named.

        It is if an option is not the group's. If all are, --help and its like are for the group
        to answer, and on a line that is being completed a command's name may be yet to come.
        """
        params = self.get_params(ctx)
        own = {option for one in params for option in one.opts}
        answering = {option for one in params if one.is_eager for option in one.opts}
        named = {argument.partition("=")[0] for argument in args if argument.startswith("-")}
        if not named <= own:
            return True
        return not ctx.resilient_parsing and not named & answering

    def _names_command(self, args: Sequence[str]) -> bool:
        """Tell whether a command is named, rightly or wrongly."""
        rest = iter(args)
        for argument in rest:
            if not argument.startswith("-"):
                return True
            if argument in self._value_options:
                next(rest, None)
        return False
