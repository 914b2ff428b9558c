"""Rules by self-reflection: a teacher bundles a session unaided, is told where it erred, and writes rules.

One conversation a session: generate, reflect, write; with several rounds it tries again, its rules in mind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec
from msgspec import Struct

from kdb import prompts
from kdb.extraction.thought_text import numbers, prompt_fields
from kdb.prompts.replies import json_object, to_struct
from kdb.records import Bundle, Session
from kdb.teacher import Message

PROMPTS = ("teacher", "rule_generate", "rule_reflect", "rule_write", "rule_retry")
RULE_LENGTH = 400
MOST_RULES = 3
"""What a session may contribute in one round."""

Judgement = Literal["right", "too small", "invalid", "has irrelevant products", "misses products", "not found"]


class StatedBundle(Struct):
    """A bundle that a teacher states, by the numbers of its products."""

    products: list[int]
    intent: str = ""


class Attempt(Struct):
    """A teacher's bundles for a session."""

    bundles: list[StatedBundle]


class WrittenRules(Struct):
    """The rules that a teacher wrote."""

    rules: list[str]


class Finding(Struct, frozen=True):
    """One judgement on what a teacher stated: about which products, and what is wrong with them."""

    judgement: Judgement
    products: tuple[int, ...]
    detail: str = ""

    def __str__(self) -> str:
        return f"- {list(self.products)}: {self.judgement}{f' ({self.detail})' if self.detail else ''}"


def _schema(name: str, item: dict[str, Any]) -> dict[str, Any]:
    properties = {name: {"type": "array", "items": item}}
    return {"type": "object", "properties": properties, "required": [name], "additionalProperties": False}


_BUNDLE = {
    "type": "object",
    "properties": {"products": {"type": "array", "items": {"type": "integer"}}, "intent": {"type": "string"}},
    "required": ["products", "intent"],
    "additionalProperties": False,
}
ATTEMPT_SCHEMA = _schema("bundles", _BUNDLE)
CAUSES_SCHEMA = _schema("causes", {"type": "string"})
RULES_SCHEMA = _schema("rules", {"type": "string"})


def first_messages(session: Session) -> list[Message]:
    """The first question, which shows titles alone: in the public data a category gives the truth away."""
    return [{"role": "system", "content": prompts.template("teacher")}, follow_up("rule_generate", session)]


def follow_up(name: str, session: Session, feedback: str = "") -> Message:
    """The next question of the conversation about a session."""
    fields = prompt_fields(session) | {"feedback": feedback}
    return {"role": "user", "content": prompts.render(name, fields)}


def read_attempt(text: str) -> Attempt | None:
    """The bundles in an answer; None where it states none in the form asked for."""
    try:
        return to_struct(json_object(text), Attempt)
    except ValueError:
        return None


def read_rules(text: str) -> list[str]:
    """The rules in an answer that are general, that is, speak of no numbers of this session."""
    try:
        written = to_struct(json_object(text), WrittenRules)
    except ValueError:
        return []
    rules = [prompts.sanitized(rule, RULE_LENGTH) for rule in written.rules[:MOST_RULES]]
    return [rule for rule in rules if len(rule.split()) > 2 and not _SPECIFIC.search(rule)]


_SPECIFIC = re.compile(r"(?i)\b(?:products?|items?|bundles?|numbers?) (?:no\. ?|#)?\d|\[\d|\(\d+(?:, \d+)*\)")


def known_bundles(attempt: Attempt | None, session: Session) -> list[list[str]]:
    """The stated bundles as item ids; a number that no item has stands for itself, and counts as invalid."""
    ids = {n: item.id for n, item in enumerate(session.items, 1)}
    return [[ids.get(n, f"#{n}") for n in bundle.products] for bundle in attempt.bundles] if attempt else []


def compare(attempt: Attempt | None, session: Session) -> list[Finding]:
    """Each stated bundle judged by the true one that it is most like, then the true ones that none is like."""
    place = numbers(session)
    truth = [frozenset(place[i] for i in bundle.items) for bundle in session.truth or []]
    said = [frozenset(bundle.products) for bundle in attempt.bundles] if attempt else []
    findings: list[Finding] = []
    found = set()
    for bundle in said:
        best = _most_like(bundle, truth)
        findings += _judge(bundle, best, len(place))
        if len(bundle & best) > 1:
            found.add(best)
    missed = [true for true in truth if true not in found]
    return findings + [Finding("not found", tuple(sorted(true)), "this is a bundle") for true in missed]


def _most_like(bundle: frozenset[int], truth: Sequence[frozenset[int]]) -> frozenset[int]:
    """The true bundle with the largest Jaccard similarity."""
    return max(truth, key=lambda true: (len(bundle & true) / len(bundle | true), sorted(true)), default=frozenset())


def _judge(bundle: frozenset[int], best: frozenset[int], count: int) -> Iterator[Finding]:
    products = tuple(sorted(bundle))
    strangers = [n for n in products if not 1 <= n <= count]
    if strangers:
        yield Finding("invalid", products, f"there is no product {strangers[0]}")
    elif len(bundle) < 2:
        yield Finding("too small", products, "a bundle has two products or more")
    elif bundle == best:
        yield Finding("right", products)
    elif len(bundle & best) < 2:
        yield Finding("invalid", products, "these are not bought together")
    else:
        if extra := sorted(bundle - best):
            yield Finding("has irrelevant products", products, ", ".join(map(str, extra)))
        if lacking := sorted(best - bundle):
            yield Finding("misses products", products, ", ".join(map(str, lacking)))


def feedback(findings: Sequence[Finding]) -> str:
    """The findings as lines of a prompt."""
    return "\n".join(map(str, findings))


def annotated(session: Session) -> str:
    """The attempt that states the annotators' own bundles, as an answer."""
    return msgspec.json.encode(stated(session, session.truth or [])).decode()


def stated(session: Session, bundles: Sequence[Bundle]) -> Attempt:
    """Bundles of item ids as a teacher states them, by number."""
    place = numbers(session)
    return Attempt([StatedBundle(sorted(place[i] for i in b.items), b.intent) for b in bundles])


def is_perfect(findings: Sequence[Finding]) -> bool:
    """Whether there is nothing to learn from: every true bundle was stated, and nothing else."""
    return all(finding.judgement == "right" for finding in findings)
