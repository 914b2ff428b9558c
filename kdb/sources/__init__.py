"""What `kdb import` reads: files of a shop, whatever form they have, as sessions."""

SOURCES = {
    "bundlerec": "kdb.sources.bundlerec:BUNDLEREC",
    "events": "kdb.sources.events.source:EVENTS",
    "jsonl": "kdb.sources.jsonl:JSONL",
    "sheet": "kdb.sources.sheet:SHEET",
}
"""Each is a `kdb.sources.source.Source`."""
