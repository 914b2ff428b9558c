"""How many tokens a student reads, without loading its weights."""

from __future__ import annotations

from collections.abc import Sequence

from kdb import models
from kdb.errors import KdbError


def counts(texts: Sequence[str], student: str) -> list[int]:
    """The number of tokens of each text, without those that frame a message."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(models.student_path(student))
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise KdbError(f"student {student!r}: {reason}", "give a local model folder or a hub id") from None
    if not texts:
        return []
    return [len(ids) for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]]
