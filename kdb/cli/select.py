"""`kdb select`: choose training sessions, or knowledge, by a strategy and an amount."""

from kdb.cli.options import Given, command
from kdb.cli.streams import StreamOptions
from kdb.errors import UsageError
from kdb.registry import load
from kdb.selection import STRATEGIES
from kdb.selection.config import SelectionConfig


@command
def select(streams: StreamOptions, config: SelectionConfig, given: Given) -> None:
    """Choose training sessions and the knowledge drawn from them; validation and test sessions pass.

    length counts items, of knowledge words; diversity takes the least alike first, by embedding. Samples are
    nested: for one seed and strategy, 10 % are among the 20 %. Knowledge stays with any session that it was drawn
    from; to mine the patterns of the sample alone, select before extracting. All input is read before the first
    line is written.

    To let a teacher label what is not chosen, keep it with --rest unannotated: without its bundles, and without
    categories, which in the public data tell what is in a bundle.

    Example: kdb select kb.jsonl --strategy diversity --amount 0.3 --formats pattern,thought > small.jsonl
    """
    from kdb.selection.amount import Amount
    from kdb.stages import select as stage

    own = load(STRATEGIES, config.strategy).uses
    for other in STRATEGIES:
        for name in load(STRATEGIES, other).uses:
            if name not in own:
                given.refuse(name, f"--strategy {config.strategy}")
    if config.of == "knowledge":
        given.refuse("rest", "--of knowledge")
    if Amount.parse(config.amount).unit != "tokens" and "student" in given:
        raise UsageError("--student counts tokens", "give --amount in them, like 5000tok")
    streams.write(stage.select(streams.read(*stage.KINDS), config))
