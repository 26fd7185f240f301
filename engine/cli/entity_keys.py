"""Entity keys on the command line: whole numbers, negative ones too."""

import re
from typing import Final

import click

ENTITY_KEY: Final = click.IntRange(-(2**63), 2**63 - 1)
VERSION: Final = click.IntRange(1, 2**31 - 1)
_NEGATIVE_NUMBER: Final = re.compile(r"-[0-9]+", re.ASCII)


class KeyCommand(click.Command):
    """A command whose argument may be a negative number, which looks like an option to click."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        taking_values = {
            name
            for parameter in self.get_params(ctx)
            if isinstance(parameter, click.Option) and not parameter.is_flag
            for name in parameter.opts
        }
        options: list[str] = []
        keys: list[str] = []
        rest = iter(args)
        for argument in rest:
            if argument == "--":
                keys += rest
            elif _NEGATIVE_NUMBER.fullmatch(argument):
                keys.append(argument)
            else:
                options.append(argument)
                if argument in taking_values:
                    # Whatever comes next is the option's value, negative or not.
                    options += [value for value in [next(rest, None)] if value is not None]
        return super().parse_args(ctx, [*options, "--", *keys] if keys else options)
