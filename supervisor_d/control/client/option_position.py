"""An option of `ctl` that stands behind the command instead of before it: refused with the place where it belongs.

Rejected: options in both places, which would have to agree when both are given.
"""

from __future__ import annotations

import click


class PlacedCommand(click.Command):
    """A command that knows the options of its group by name."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            group = ctx.parent
            if group is None or not any(error.option_name in option.opts for option in group.command.params):
                raise
            told = (
                f"{error.option_name} stands before the command: "
                f"`{group.command_path} {error.option_name} ... {self.name}`."
            )
            raise click.NoSuchOption(error.option_name, told, ctx=error.ctx) from None


class PlacedGroup(click.Group):
    """A group whose commands are such."""

    command_class = PlacedCommand
