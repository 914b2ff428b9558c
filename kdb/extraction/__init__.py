"""Knowledge drawn from sessions: one file a format, which says how, and what its options are."""

from kdb.records import SHOWN_AS

FORMATS = {name: f"kdb.extraction.{name}:{name.capitalize()}Format" for name in SHOWN_AS}
"""The class of each format (`kdb.extraction.format.Format`), of format `rule` `RuleFormat` in `rule.py`; each is a
subcommand of `kdb extract`."""
