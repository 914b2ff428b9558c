"""How many tokens a student reads, without loading its weights, PyTorch or Transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from kdb.errors import KdbError
from kdb.student import weights

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def counts(texts: Sequence[str], student: str) -> list[int]:
    """The number of tokens of each text, without those that frame a message."""
    tokenizer = _tokenizer(weights.student_path(student), student)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return [len(found.ids) for found in tokenizer.encode_batch(list(texts), add_special_tokens=False)]


def _tokenizer(path: str, student: str) -> Tokenizer:
    from tokenizers import Tokenizer

    remedy = "give a local model folder with a tokenizer.json, or a hub id"
    if not Path(path).is_dir():
        try:
            return Tokenizer.from_pretrained(path)
        except (OSError, ValueError) as error:
            raise KdbError(f"student {student!r}: {str(error).splitlines()[0]}", remedy) from None
    file = Path(path) / "tokenizer.json"
    if not file.is_file():
        raise KdbError(f"student {student!r}: {file} is not there", remedy)
    return Tokenizer.from_file(str(file))
