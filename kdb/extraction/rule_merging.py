"""Makes one list of rules out of those of many sessions: near-duplicates merged, contradictions flagged.

Rules are alike if the cosine of their embeddings, taken without the words that negate, reaches a threshold.
Alike rules that both advise, or both warn, are merged; where one advises and one warns, each is flagged as
contradicting the other. That words tell advice from warning is a heuristic of ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kdb.records import Usage

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray

_NEGATION = re.compile(
    r"(?i)\b(?:(?:do|does|should|must|can) ?not|(?:do|does|should|must|ca)n['’]t|not|never|avoid)\b"
)


def is_negative(rule: str) -> bool:
    """Whether a rule says what not to do."""
    return bool(_NEGATION.search(rule))


@dataclass(frozen=True)
class RawRule:
    """A rule as one session produced it, with its share of what the session cost."""

    text: str
    session: str
    usage: Usage

    @property
    def is_negative(self) -> bool:
        """Whether it says what not to do."""
        return is_negative(self.text)

    @property
    def subject(self) -> str:
        """What it is about, whether it advises or warns."""
        return " ".join(_NEGATION.sub(" ", self.text).split()).lower()


@dataclass
class RuleCluster:
    """Rules that say the same; `contradicts` holds the indices of merged rules that say the opposite."""

    members: list[int]
    text: str = ""
    contradicts: list[int] = field(default_factory=list)


def consolidate(rules: Sequence[RawRule], vectors: Array, threshold: float) -> list[RuleCluster]:
    """The merged rules, in the order of their first members; `vectors` are unit, one for each rule's subject.

    Each rule joins the first group whose first member is most alike, so that no chain of small steps joins
    rules that are far apart. A group speaks with the text of its most central member.
    """
    import numpy as np

    heads: list[int] = []
    groups: dict[int, list[int]] = {}
    for n, rule in enumerate(rules):
        kin = [head for head in heads if rules[head].is_negative == rule.is_negative]
        cosines = vectors[kin] @ vectors[n] if kin else np.empty(0)
        nearest = int(np.argmax(np.round(cosines, 6))) if kin else -1
        if kin and round(float(cosines[nearest]), 6) >= threshold:
            groups[kin[nearest]].append(n)
        else:
            heads.append(n)
            groups[n] = [n]
    merged = [RuleCluster(groups[head], rules[_central(groups[head], vectors)].text) for head in heads]
    _flag(merged, heads, rules, vectors, threshold)
    return merged


def _central(members: Sequence[int], vectors: Array) -> int:
    import numpy as np

    own = vectors[list(members)]
    return members[int(np.argmax(np.round(own @ own.sum(axis=0), 6)))]


def _flag(
    merged: list[RuleCluster], heads: list[int], rules: Sequence[RawRule], vectors: Array, threshold: float
) -> None:
    import numpy as np

    if not heads:
        return
    alike = np.round(vectors[heads] @ vectors[heads].T, 6) >= threshold
    is_negative = np.array([rules[head].is_negative for head in heads])
    for a, b in np.argwhere(alike & (is_negative[:, None] != is_negative[None, :])).tolist():
        merged[a].contradicts.append(b)
