"""Knowledge drawn from sessions: one file a format, which says how, and what its options are."""

FORMATS = {
    "pattern": "kdb.extraction.pattern:PatternFormat",
    "rule": "kdb.extraction.rule:RuleFormat",
    "thought": "kdb.extraction.thought:ThoughtFormat",
    "label": "kdb.extraction.label:LabelFormat",
}
"""The class of each format (`kdb.extraction.format.Format`); each is a subcommand of `kdb extract`."""
