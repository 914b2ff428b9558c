"""Learners of the log odds that two items share a bundle: one head, one training loop, two encoders."""

PAIR_LEARNERS = {
    "embedder": "kdb.student.pairwise.title_encoder:TitleEncoder",
    "student": "kdb.student.pairwise.session_encoder:SessionEncoder",
}
"""By the name that their log odds have as a feature of a pair."""
