"""The kinds of record that flow between stages, and their validation.

Every record is one JSON object with a `kind`; fields that are not named here pass through untouched,
because a stage hands on the line that it read (see `kdb.io.stream`).
"""

from kdb.records.base import SCHEMA_VERSION, SHOWN_AS, KnowledgeFormat, Record, SessionKey, Split, Status, Usage
from kdb.records.decoding import decode, format_decode_error, with_fields
from kdb.records.knowledge import ANNOTATIONS, FirstAttempt, Knowledge, Source
from kdb.records.prediction import CollectedBundle, Prediction, Rating
from kdb.records.run import End, Run
from kdb.records.scores import (
    Calibration,
    Comparison,
    Match,
    Metric,
    PrecisionAtShare,
    ReliabilityBin,
    SessionScore,
)
from kdb.records.session import Bundle, ImportInfo, Item, Session, check_bundles, check_items

KINDS: dict[str, type[Record]] = {
    "session": Session,
    "knowledge": Knowledge,
    "prediction": Prediction,
    "bundle": CollectedBundle,
    "metric": Metric,
    "comparison": Comparison,
    "calibration": Calibration,
    "score": SessionScore,
    "run": Run,
    "end": End,
}
