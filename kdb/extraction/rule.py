"""Rules: a teacher reflects on its errors (`reflection`); those of a domain are merged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta, UnsetType

from kdb import console, prompts
from kdb.extraction import attempts
from kdb.extraction.format import Format
from kdb.extraction.reflection import Conversation, Reflection
from kdb.extraction.rule_merging import RawRule, RuleCluster, consolidate
from kdb.io.provenance import content_hash
from kdb.records import ANNOTATIONS, FirstAttempt, Knowledge, Session, Source
from kdb.teacher import Sampling, Teacher, shares, sum_usage

MAX_LISTED = 10
"""So many contradictions are said; all of them are in the records."""


@dataclass(frozen=True)
class RuleConfig:
    """How often a session is reflected on, and which rules are one."""

    rounds: Annotated[int, Meta(ge=1, description="How often a session is tried and reflected on.")] = 1
    merge: Annotated[float, Meta(ge=0, le=1, description="Rules of this cosine or more are one rule.")] = 0.85


class RuleFormat(Format[Reflection]):
    """Let a teacher bundle sessions, tell it where it erred, and collect the rules that it draws from that.

    At most three requests a session and round. The rules of all sessions are merged and follow the input;
    rules that contradict each other are flagged. A rule whose categories meet in the sessions is tried on
    them, and left out where it is right no more often than chance. What was answered once is never asked again.

    Example: kdb import DATA --split train | kdb extract rule --teacher http://localhost:8000/v1 --model NAME
    """

    name = "rule"
    summary = "Let a teacher draw rules from its own errors."
    Config = RuleConfig
    config: RuleConfig

    def __init__(self, config: RuleConfig, sampling: Sampling) -> None:
        super().__init__(config, sampling)
        self._domains: dict[str, list[Reflection]] = {}

    def draw(self, session: Session, teacher: Teacher) -> Reflection:
        """The conversation about a session."""
        return Conversation(session, teacher, self.sampling).reflect(self.config.rounds)

    def collect(self, session: Session, drawn: Reflection) -> Iterator[Knowledge]:
        """Nothing yet."""
        self._domains.setdefault(session.domain, []).append(drawn)
        yield from ()

    def conclude(self, teacher: Teacher) -> Iterator[Knowledge]:
        """The rules of each domain, in the order of their first sessions."""
        for domain, reflections in self._domains.items():
            sessions = [reflection.session for reflection in reflections]
            if not teacher.is_model:  # the annotations make no errors: their rules are counted
                found = _mined(domain, sessions)
            else:
                found = _consolidated(domain, teacher.identity.model, reflections, self.config.merge)
            yield from _valued(domain, found, sessions)


def _valued(domain: str, rules: list[Knowledge], sessions: list[Session]) -> list[Knowledge]:
    """The rules with what they are worth on these sessions; those below chance are left out."""
    from kdb.extraction.rule_value import measured

    kept, dropped = measured(rules, sessions)
    tested = sum(not isinstance(rule.value, UnsetType) for rule in kept)
    console.say(
        f"{domain}: {tested} of {len(kept)} rules name categories that meet; {dropped} below chance left out"
    )
    texts = {rule.id: rule.text for rule in kept}
    pairs = {(min(r.id, i), max(r.id, i)) for r in kept for i in _contradicted(r)}
    for one, other in sorted(pairs)[:MAX_LISTED]:
        console.say(f'contradiction: "{texts[one]}" / "{texts[other]}"')
    return kept


def _contradicted(rule: Knowledge) -> list[str]:
    return [] if isinstance(rule.contradicts, UnsetType) else rule.contradicts


def _mined(domain: str, sessions: list[Session]) -> list[Knowledge]:
    from kdb.extraction import mined_rules

    found = list(mined_rules.rules(domain, sessions))
    console.say(f"{domain}: {len(found)} rules from {ANNOTATIONS} of {len(sessions)} sessions")
    return found


def _consolidated(domain: str, teacher: str, reflections: list[Reflection], merge: float) -> list[Knowledge]:
    from kdb.retrieval.embedder import open_embedder

    raw = [rule for reflection in reflections for rule in _raw(reflection)]
    vectors = open_embedder().encode([rule.subject for rule in raw])
    merged = consolidate(raw, vectors, merge)
    flagged = sum(bool(group.contradicts) for group in merged)
    made = f"{len(merged)} rules merged from {len(raw)} of {len(reflections)} sessions"
    console.say(f"{domain}: {made}, {flagged} contradicted")
    return _records(domain, teacher, merged, raw, reflections)


def _raw(reflection: Reflection) -> list[RawRule]:
    """The rules of a session, each with an equal share of its cost."""
    own = shares(reflection.usage, len(reflection.rules)) if reflection.rules else []
    return [RawRule(text, reflection.session.id, share) for text, share in zip(reflection.rules, own, strict=True)]


def _records(
    domain: str, teacher: str, merged: list[RuleCluster], raw: list[RawRule], reflections: list[Reflection]
) -> list[Knowledge]:
    """The merged rules as records, those of the most sessions first."""
    scores = {reflection.session.id: reflection.first_attempt for reflection in reflections}
    signed = next((r.model for r in reflections if r.model), teacher)
    prompt = prompts.template_hash(*attempts.PROMPTS)
    made = []
    for group in merged:
        members = [raw[n] for n in group.members]
        ids = list(dict.fromkeys(member.session for member in members))
        made.append(
            Knowledge(
                id=content_hash(["rule", domain, signed, prompt, group.text]),
                format="rule",
                domain=domain,
                text=group.text,
                source=Source(sessions=ids),
                teacher=signed,
                prompt_hash=prompt,
                usage=sum_usage(member.usage for member in members),
                count=len(ids),
                support=round(len(ids) / len(reflections), 6),
                first_attempt=_mean([scores[i] for i in ids]),
                first_attempts={i: scores[i] for i in ids},
            )
        )
    for rule, group in zip(made, merged, strict=True):
        if group.contradicts:
            rule.contradicts = [made[n].id for n in group.contradicts]
    return sorted(made, key=lambda rule: -len(rule.source.sessions))


def _mean(scores: list[FirstAttempt]) -> FirstAttempt:
    return FirstAttempt(
        round(sum(score.precision for score in scores) / len(scores), 6),
        round(sum(score.recall for score in scores) / len(scores), 6),
    )
