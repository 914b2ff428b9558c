"""What `kdb import` reads: files of a shop, whatever form they have, as sessions.

A source is a function from paths, an `ImportConfig` and `Rejects` to what is written: records, lines, or blocks of
whole lines.
"""

SOURCES = {
    "bundlerec": "kdb.sources.bundlerec:read",
    "events": "kdb.sources.events.source:read",
    "jsonl": "kdb.sources.jsonl:read",
    "sheet": "kdb.sources.sheet:read",
}
