"""How the sessions came about that runs were scored on, in sentences."""

from __future__ import annotations

from collections.abc import Iterator

from kdb.records import ImportInfo
from kdb.report.results import Results

UNKNOWN = (
    "The records do not say how the sessions were imported: what became of untitled items, whether the truth is "
    "minimal, which split this is. Give kdb eval the session records too, or state it with kdb report --note."
)
UNTITLED = {
    "none": "every item has a title",
    "drop": "{items:,} items without a title in {sessions:,} sessions were left out, which makes the task easier",
    "keep": "{items:,} items without a title in {sessions:,} sessions were kept, which gives answers away: A LEAK",
}
TRUTH = {"minimal": "the truth is the minimal bundles of each session", "raw": "the truth is all annotated bundles"}


def lines(results: Results, stated: bool) -> Iterator[str]:
    """One sentence for each way in which the sessions of a domain were imported; `stated`: a person says it."""
    ways = list(dict.fromkeys(way for metric in results.metrics.values() for way in metric.imported))
    for way in ways:
        yield f"{results.domain}: {_sentence(way)}."
    if not ways and not stated:
        yield f"{results.domain}: {UNKNOWN}"


def _sentence(way: ImportInfo) -> str:
    parts = [
        f"imported from {way.source} (hash {way.hash})" if way.source else "imported from records",
        f"titles that are missing come from {way.titles}" if way.titles else "",
        UNTITLED.get(way.untitled, "").format(items=way.untitled_items, sessions=way.untitled_sessions),
        TRUTH.get(way.truth, ""),
        f"split by {way.split}" if way.split else "",
    ]
    return "; ".join(filter(None, parts))
