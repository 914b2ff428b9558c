"""Groups of commands: listed in their own order, and a wrong call is one line."""

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from kdb import console, registry
from kdb.cli.exit_codes import USAGE
from kdb.cli.options import EXAMPLE, reflowed
from kdb.errors import UsageError

_WrongCall: Any = typer.BadParameter.__base__  # Click's UsageError, of which some versions of Typer hold a copy


class Commands(TyperGroup):
    """Commands in the order in which they were added, or that `order` says."""

    order: tuple[str, ...] = ()

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        for command in self.commands.values():
            text, mark, example = (command.help or "").partition(EXAMPLE)
            if mark:  # the end of the help, after the options
                command.help, command.epilog = text.rstrip(), mark + example

    def list_commands(self, ctx: Any) -> list[str]:
        """The names in order."""
        names = list(self.commands)
        return sorted(names, key=lambda name: self.order.index(name) if name in self.order else len(self.order))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the first word names; UsageError where there is none."""
        if not args[0].startswith("-"):
            registry.check(self.list_commands(ctx), args[0], "command")
        return super().resolve_command(ctx, args)

    def main(self, args: Any = None, standalone_mode: bool = True, **more: Any) -> Any:  # type: ignore[override]
        """Run the command line; a wrong call is said in one line, with the help to read."""
        try:
            code = super().main(args, standalone_mode=False, **more)
        except _WrongCall as error:
            if type(error).__name__ == "NoArgsIsHelpError":
                error.show()
            else:
                console.fail(_in_one_line(error))
            code = USAGE
        except UsageError as error:
            console.fail(str(error))
            code = USAGE
        if standalone_mode:
            sys.exit(code or 0)
        return code


class PipeCommands(Commands):
    """The commands of `kdb`: first those of the pipe."""

    order = ("import", "extract", "select", "train", "infer", "collect", "eval", "report")


def group(cls: type[Commands], text: str, example: str, **more: Any) -> typer.Typer:
    """A group of commands with its help and an example."""
    return typer.Typer(
        cls=cls,
        help=text,
        epilog=reflowed(f"Example: {example}"),
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        **more,
    )


def _in_one_line(error: Any) -> str:
    near = getattr(error, "possibilities", None)
    text = error.message if near else error.format_message()
    words = " ".join(text.replace("Value error, ", "").split()).rstrip(".")
    hint = f"did you mean {near[0]}? " if near else ""
    command = error.ctx.command_path if error.ctx else "kdb"
    return f"{words[:1].lower()}{words[1:]} ({hint}see {command} --help)"
