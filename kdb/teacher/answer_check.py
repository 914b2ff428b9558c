"""Is this an answer at all? The one place that decides, before anything is kept and when it is read again."""

from __future__ import annotations

import re

from kdb.prompts.replies import strip_reasoning

FAILED = {"error": "a failed generation", "content_filter": "a filtered text"}
"""Reasons to finish that mean that there is no answer, whatever text came with them."""

_REFUSAL = re.compile(
    r"(?i)\s*(?:(?:i['’]m|i am) (?:sorry|unable|not able)|sorry\b|i apologi[sz]e"
    r"|i (?:cannot|can['’]t|won['’]t)|as an ai\b)"
)


def problem(text: str, finish_reason: str, refusal: str = "") -> str:
    """What a server replied instead of an answer, in a word or two; empty where it is one.

    A text that its limit cut off is an answer, marked as such: asked again under the same limit, it would be cut
    off again.
    """
    said = strip_reasoning(text).strip()
    if finish_reason in FAILED:
        return FAILED[finish_reason]
    if refusal or is_refusal(said):
        return "a refusal"
    if said or finish_reason == "length":
        return ""
    return "reasoning alone" if text.strip() else "an empty text"


def is_refusal(text: str) -> bool:
    """Whether a text starts as refusals do, and holds no answer all the same."""
    return bool(_REFUSAL.match(text)) and not set("{[") & set(text)
