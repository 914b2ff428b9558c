"""`kdb grid`: experiments that are written down in one file, as rules for make."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from kdb.cli.options import command
from kdb.cli.streams import OutputOptions


@command
def grid(
    streams: OutputOptions,
    file: Annotated[Path, Argument(help="The grid, a TOML file.", show_default=False)],
    data: Annotated[list[Path], Option(help="A folder in the BundleRec layout; repeatable.", show_default=False)],
    out: Annotated[Path, Option(help="The folder for all that is made.")] = Path("out"),
    seed: Annotated[list[int] | None, Option(help="Instead of the grid's; repeatable.", show_default=False)] = None,
) -> None:
    """Print the rules by which make runs the cells of a grid, each by the ordinary commands, and reports on them.

    What is done is not done again; a changed setting makes anew only what depends on it. A cell that fails
    does not hold up the others: the report says so.

    Example: kdb grid samples/grids/paper.toml --data electronic --out out > grid.mk && make -k -f grid.mk cells
    """
    from kdb.grid.makefile import rules
    from kdb.grid.matrix import read
    from kdb.io import stream

    text = rules(read(file), seed or [], data, out)
    with stream.output(streams.output, streams.force) as output:
        output.write(text.encode())
