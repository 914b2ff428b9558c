"""Groups of commands: listed in the order of a table, loaded when called, and a wrong call is one line."""

import pkgutil
import sys
from collections.abc import Mapping
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup

from kdb import console, registry
from kdb.cli.exit_codes import USAGE
from kdb.cli.help_text import EXAMPLE, reflowed
from kdb.errors import UsageError

_WrongCall: Any = typer.BadParameter.__base__  # Click's UsageError, of which some versions of Typer hold a copy


class Commands(TyperGroup):
    """Commands in the order in which they were added."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        for command in self.commands.values():
            _with_example(command)

    def list_commands(self, ctx: Any) -> list[str]:
        """The names in order."""
        return list(self.commands)

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


class LazyCommands(Commands):
    """Commands by name, each imported when it is called: a list of them costs nothing."""

    table: ClassVar[Mapping[str, tuple[str, str]]]
    """Where each is defined (`module:name`, a function or a group of commands), and what it does in one line."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names in order."""
        return list(self.table)

    def get_command(self, ctx: Any, name: str) -> Any:
        """The command of this name, or None."""
        if name in self.table and name not in self.commands:
            found = pkgutil.resolve_name(self.table[name][0])
            if not isinstance(found, typer.Typer):
                alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
                alone.command(name)(found)
                found = alone
            self.commands[name] = _with_example(typer.main.get_command(found))
        return self.commands.get(name)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands, from the summaries alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in self.table.items()])


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


def _with_example(command: Any) -> Any:
    """The command with the example of its help at the end, after the options."""
    text, mark, example = (command.help or "").partition(EXAMPLE)
    if mark:
        command.help, command.epilog = text.rstrip(), mark + example
    return command


def _in_one_line(error: Any) -> str:
    near = getattr(error, "possibilities", None)
    text = error.message if near else error.format_message()
    words = " ".join(text.replace("Value error, ", "").split()).rstrip(".")
    hint = f"did you mean {near[0]}? " if near else ""
    command = error.ctx.command_path if error.ctx else "kdb"
    return f"{words[:1].lower()}{words[1:]} ({hint}see {command} --help)"
