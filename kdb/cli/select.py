"""`kdb select`: choose training sessions, or knowledge, by a strategy and a quantity."""

from pathlib import Path
from typing import Annotated, Literal

from typer import Option

from kdb.cli.options import command
from kdb.cli.streams import StreamOptions
from kdb.cli.student import Formats, names
from kdb.cli.student import formats as known_formats
from kdb.errors import UsageError
from kdb.retrieval.packaged import EMBEDDER
from kdb.student import weights

Of = Annotated[Literal["sessions", "knowledge"], Option(help="What is ranked; the other goes with it.")]
Strategy = Annotated[
    Literal["random", "length", "diversity", "difficulty"],
    Option(help="length: items (of knowledge: words); diversity: least alike first, by embedding."),
]
Prefer = Annotated[
    str,
    Option(help="length: long (default), short, spread; difficulty: hard (default), easy, spread."),
]
Ratio = Annotated[float | None, Option(min=0, max=1, help="Take this share.")]
Count = Annotated[int | None, Option(min=0, help="Take so many.")]
Tokens = Annotated[int | None, Option(min=0, help="Take what fits into so many tokens of --student.")]
Seed = Annotated[int, Option(help="Draws the sample, and decides between equals.")]
Domains = Annotated[str, Option(help="Only these, with commas between.", show_default="all")]
PerDomain = Annotated[bool, Option("--per-domain", help="Rank and take in each domain by itself.")]
Predictions = Annotated[Path | None, Option(help="A student's predictions: difficulty is 1 - matched F1.")]


@command
def select(
    streams: StreamOptions,
    of: Of = "sessions",
    strategy: Strategy = "random",
    prefer: Prefer = "",
    ratio: Ratio = None,
    count: Count = None,
    tokens: Tokens = None,
    seed: Seed = 0,
    domains: Domains = "",
    per_domain: PerDomain = False,
    formats: Formats = "",
    predictions: Predictions = None,
    embedder: Annotated[str, Option(help="For diversity.")] = EMBEDDER,
    student: Annotated[
        str,
        Option(
            help="Whose tokens are counted; if given, its loss is the difficulty.", show_default=weights.STUDENT
        ),
    ] = "",
    adapter: Annotated[
        Path | None, Option(help="Difficulty is the loss of this adapter's student.", show_default=False)
    ] = None,
) -> None:
    """Choose training sessions and the knowledge drawn from them; validation and test sessions pass.

    Samples are nested: for one seed and strategy, 10 % are among the 20 %. Difficulty comes from the
    teacher's first answers, as rules record them, from --predictions, or is the loss of --student or
    --adapter on the true answer. Knowledge stays with any session that it was drawn from; to mine the
    patterns of the sample alone, select before extracting.
    All input is read before the first line is written.

    Example: kdb select kb.jsonl --strategy diversity --ratio 0.3 --formats pattern,thought > small.jsonl
    """
    from kdb.selection.ranking import Quantity, Ranking
    from kdb.stages import select as stage

    if sum(given is not None for given in (ratio, count, tokens)) > 1:
        raise UsageError("--ratio, --count and --tokens exclude each other", "pass one of them")
    judge: stage.Judge = stage.rules
    if predictions:
        judge = stage.predictions(streams.read_files([predictions], ("prediction",)))
    elif adapter or student:
        judge = stage.losses(student, adapter)
    if adapter and (predictions or strategy != "difficulty"):
        raise UsageError("--adapter measures difficulty", "pass --strategy difficulty, and no --predictions")
    selection = stage.Selection(
        of=of,
        domains=names(domains),
        formats=known_formats(formats),
        per_domain=per_domain,
        ranking=Ranking(strategy, _preference(strategy, prefer), seed, embedder),
        quantity=Quantity(ratio, count, tokens, student or weights.STUDENT),
        judge=str(predictions or adapter or student or "rules") if strategy == "difficulty" else "",
    )
    streams.write(stage.run(streams.read(*stage.KINDS), selection, judge))


def _preference(strategy: str, prefer: str) -> str:
    from kdb.selection.ranking import PREFERENCES

    possible = list(PREFERENCES.get(strategy, {}))
    if not prefer:
        return possible[0] if possible else ""
    if prefer not in possible:
        remedy = f"choose from {', '.join(possible)}" if possible else "leave out --prefer"
        raise UsageError(f"--prefer {prefer}: strategy {strategy} has no such preference", remedy)
    return prefer
