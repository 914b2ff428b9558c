"""Has a teacher reflect on its errors in annotated training sessions; its rules follow the last line.

The rules of all sessions of a domain are consolidated, so they are held in memory until the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kdb import console, prompts
from kdb.extraction import rule_merging, rules
from kdb.extraction.rule_merging import RawRule, RuleCluster
from kdb.provenance import content_hash
from kdb.records import FirstAttempt, Knowledge, Run, Session, Source, Usage
from kdb.retrieval.embedder import Embedder
from kdb.stream import Line
from kdb.teacher import ANNOTATIONS, Answer, Sampling, annotation_teacher
from kdb.teacher.cost_estimate import CostEstimate
from kdb.teacher.metered import MeteredClient, total
from kdb.teacher.reflection import Reflection, reflect
from kdb.teacher.session_map import SessionFilter, SessionMap

KINDS = ("session",)


@dataclass(frozen=True)
class Options:
    """How rules are asked for, how often a session is reflected on, and from which cosine rules are one."""

    sampling: Sampling
    rounds: int
    merge: float


def run(
    lines: Iterable[Line], client: MeteredClient, choice: SessionFilter, options: Options
) -> Iterator[Line | Knowledge]:
    """All lines in order, then the rules of each domain in the order of their first sessions."""
    survey, reflections = SessionMap(choice), list[Reflection]()

    async def flow(session: Session) -> Reflection:
        return await reflect(session, client, options.sampling, options.rounds)

    for line, reflection in survey.map(lines, flow, client.summary):
        yield line
        if reflection:
            reflections.append(reflection)
    yield from _consolidated(reflections, client.model, options.merge)
    client.finish(survey.unanswered, survey.sessions)


def plan(lines: Iterable[Line], client: CostEstimate, choice: SessionFilter, options: Options) -> Run:
    """What a run would ask, as a record."""
    survey = SessionMap(choice)

    async def flow(session: Session) -> None:
        await reflect(session, client, options.sampling, options.rounds)

    for _ in survey.map(lines, flow):
        pass
    return client.record("extract rule", survey.sessions)


def from_annotations(lines: Iterable[Line], choice: SessionFilter) -> Iterator[Line | Knowledge]:
    """All lines in order, then the rules mined from the bundles of each domain."""
    domains: dict[str, list[Session]] = {}
    made = 0
    for line in lines:
        yield line
        if (choice.most is None or made < choice.most) and choice.accepts(line):
            assert isinstance(line.record, Session)
            made += 1
            domains.setdefault(line.record.domain, []).append(line.record)
    for domain, sessions in domains.items():
        found = list(annotation_teacher.rules(domain, sessions))
        console.say(f"{domain}: {len(found)} rules from {ANNOTATIONS} of {len(sessions)} sessions")
        yield from found


def _consolidated(reflections: list[Reflection], teacher: str, merge: float) -> Iterator[Knowledge]:
    domains: dict[str, list[Reflection]] = {}
    for reflection in reflections:
        domains.setdefault(reflection.session.domain, []).append(reflection)
    for domain, own in domains.items():
        raw = [rule for reflection in own for rule in _raw(reflection)]
        vectors = Embedder().encode([rule.subject for rule in raw])
        merged = rule_merging.consolidate(raw, vectors, merge)
        flagged = sum(bool(group.contradicts) for group in merged)
        made = f"{len(merged)} rules merged from {len(raw)} of {len(own)} sessions"
        console.say(f"{domain}: {made}, {flagged} contradicted")
        yield from _records(domain, teacher, merged, raw, own)


def _raw(reflection: Reflection) -> list[RawRule]:
    """The rules of a session, each with an equal share of its cost; the first has the remainder."""
    count, usage = len(reflection.rules), reflection.usage
    shares = []
    for n in range(count):
        prompt, completion = (
            tokens // count + (tokens % count if n == 0 else 0)
            for tokens in (usage.prompt_tokens, usage.completion_tokens)
        )
        shares.append(Usage(prompt, completion, None if usage.cost is None else usage.cost / count))
    return [
        RawRule(text, reflection.session.id, share) for text, share in zip(reflection.rules, shares, strict=True)
    ]


def _records(
    domain: str, teacher: str, merged: list[RuleCluster], raw: list[RawRule], reflections: list[Reflection]
) -> list[Knowledge]:
    """The merged rules as records, those of the most sessions first."""
    scores = {reflection.session.id: reflection.first_attempt for reflection in reflections}
    prompt = prompts.template_hash(*rules.PROMPTS)
    made = []
    for group in merged:
        members = [raw[n] for n in group.members]
        ids = list(dict.fromkeys(member.session for member in members))
        made.append(
            Knowledge(
                id=content_hash(["rule", domain, teacher, prompt, group.text]),
                format="rule",
                domain=domain,
                text=group.text,
                source=Source(sessions=ids),
                teacher=teacher,
                prompt_hash=prompt,
                usage=_sum([member.usage for member in members]),
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


def _sum(usages: list[Usage]) -> Usage:
    return total([Answer("", usage) for usage in usages])
