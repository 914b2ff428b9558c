"""The decision rule `pairs`: the student says yes or no to each pair, and its probabilities are decoded.

A small student learns to compare two products long before it learns to write a whole answer. For each item,
the anchor, it reads the other items one after another and is asked at each whether it was bought together
with the anchor. No answer is written, so all questions of a row cost one reading. The log odds, and
`kdb.evidence` unless that is turned off, go into a posterior over bundlings (`kdb.posterior`), of which
`kdb.risk` takes the prediction that suits the objective.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdb import evidence, posterior, prompts, risk
from kdb.conversation import positions
from kdb.embed import Embedder
from kdb.errors import KdbError, UsageError
from kdb.evidence import Evidence
from kdb.records import Bundle, Item, Session, Usage
from kdb.student.decision import Decision, Question
from kdb.student.examples import Example, batches
from kdb.student.model import Student, answer_logits

FILE = "posterior.safetensors"
TITLE_LENGTH = 60
ANCHORS = 3
"""So many rows of a session are trained on an epoch; which ones, the order of its items decides."""
RIDGE = 5.0
"""How hard the weights learnt without the student are held to while those of the student are learnt."""

Floats = NDArray[np.float32]


class ScoreRule:
    """Decodes pair probabilities. What it learns: the evidence, the posterior's weights, the logits' scale."""

    def __init__(self, student: Student, objective: str, use_evidence: bool) -> None:
        if objective not in risk.OBJECTIVES:
            raise UsageError(f"no objective {objective!r}", f"there are {', '.join(risk.OBJECTIVES)}")
        self.student, self.objective, self.use_evidence = student, objective, use_evidence
        self.embedder = Embedder()
        self.evidence: Evidence | None = None
        self.weights: posterior.Weights | None = None
        self.scale = np.array([0.0, 1.0], dtype=np.float32)
        self._prior: posterior.Weights | None = None
        # What the student said of the sessions that it was last heard on: validation asks for it again.
        self._heard: dict[tuple[str, ...], Floats] = {}
        self._tokens = _Tokens(student)

    @property
    def prompt(self) -> str:
        """See `Rule`."""
        return prompts.template_hash("pairs", "pairs_item")

    def examples(self, question: Question, bundles: Sequence[Bundle]) -> list[Example]:
        """See `Rule`: the rows of the first ANCHORS items."""
        items = question.items[: risk.MOST_ITEMS]
        sets = [set(bundle.items) for bundle in bundles]
        return [
            self._tokens.row(items, anchor, [any({a.id, items[anchor].id} <= s for s in sets) for a in items])
            for anchor in range(min(ANCHORS, len(items)))
        ]

    def learn(self, training: Sequence[Session], validation: Sequence[Session], batch: int) -> None:
        """See `Rule`. Without the student first, from the training sessions; then with it, from the others.

        The student has seen the training sessions, so only what it says of the validation sessions counts.
        """
        if self._prior is None:
            self._learn_prior(training)
        known = [list(session.items[: risk.MOST_ITEMS]) for session in validation]
        logits = self._logits(known, batch)
        self._heard = {_titles(items): own for items, own in zip(known, logits, strict=True)}
        flat = np.concatenate([own[np.triu_indices(len(own), 1)] for own in logits])
        self.scale = np.array([flat.mean(), flat.std() + 1e-6], dtype=np.float32)
        seen = [self._pairs(items, own) for items, own in zip(known, logits, strict=True)]
        truth = [positions(session.items, session.truth or []) for session in validation]
        self.weights = posterior.fit(seen, truth, self._prior, RIDGE)

    def _learn_prior(self, training: Sequence[Session]) -> None:
        if self.use_evidence:
            self.evidence, pairs = evidence.learn(self.embedder, training)
        else:
            pairs = [np.zeros((len(s.items), len(s.items), 0), dtype=np.float32) for s in training]
        weights = posterior.fit(pairs, [positions(s.items, s.truth or []) for s in training])
        kinds = pairs[0].shape[2]
        self._prior = np.insert(weights, [kinds, 2 * kinds], 0.0)  # the student is the last kind of evidence

    def decide(self, questions: Sequence[Question], batch: int) -> list[Decision]:
        """See `Rule`; KdbError where nothing was learnt."""
        if self.weights is None:
            raise KdbError("the answer format pairs has learnt nothing yet", "use an adapter, or pass --kb")
        if any(question.shown.demos or question.shown.knowledge for question in questions):
            raise UsageError("the answer format pairs shows no demonstrations or knowledge", "use --answer list")
        known = [question.items[: risk.MOST_ITEMS] for question in questions]
        new = [items for items in known if _titles(items) not in self._heard]
        heard = self._heard | {_titles(i): own for i, own in zip(new, self._logits(new, batch), strict=True)}
        found = [heard[_titles(items)] for items in known]
        return [self._decision(items, logits) for items, logits in zip(known, found, strict=True)]

    def _decision(self, items: list[Item], logits: Floats) -> Decision:
        usage = Usage(prompt_tokens=sum(len(self._tokens.row(items, n)) for n in range(len(items))))
        assert self.weights is not None
        groups = risk.groups(self._pairs(items, logits), self.weights, self.objective)
        bundles = [Bundle([items[n].id for n in group]) for group in groups]
        upper = logits[np.triu_indices(len(items), 1)]
        return Decision(bundles, raw=" ".join(f"{value:.2f}" for value in upper), usage=usage)

    def _pairs(self, items: Sequence[Item], logits: Floats) -> Floats:
        """All evidence on the pairs, the student's last: (n, n, k)."""
        own = ((logits - self.scale[0]) / self.scale[1])[:, :, None]
        return own if self.evidence is None else np.concatenate([self.evidence.pairs(items), own], -1)

    def _logits(self, sessions: Sequence[list[Item]], batch: int) -> list[Floats]:
        """The log odds that two items share a bundle, the mean over both anchors: (n, n) a session."""
        import torch

        rows = [(n, anchor) for n, items in enumerate(sessions) for anchor in range(len(items))]
        examples = [self._tokens.row(sessions[n], anchor) for n, anchor in rows]
        found = [np.zeros((len(items), len(items)), dtype=np.float32) for items in sessions]
        with torch.inference_mode():
            for indices in batches([len(example) for example in examples], batch):
                part = [examples[i] for i in indices if examples[i].positions]
                if not part:
                    continue
                no, yes = part[0].choices
                logits = answer_logits(self.student.model, part, self.student.tokenizer.pad_token_id)
                odds = iter((logits[:, yes] - logits[:, no]).tolist())
                for n, anchor in (rows[i] for i in indices if examples[i].positions):
                    for other in range(len(sessions[n])):
                        if other != anchor:
                            found[n][anchor, other] = next(odds)
        return [np.asarray((own + own.T) / 2, dtype=np.float32) for own in found]

    def save(self, folder: Path) -> None:
        """See `Rule`."""
        from safetensors.numpy import save_file

        assert self.weights is not None
        kept: dict[str, NDArray[Any]] = {"weights": self.weights, "scale": self.scale}
        if self.evidence is not None:
            own = self.evidence
            kept |= {"vectors": own.vectors, "memberships": own.memberships}
            kept |= {"association": own.association, "evidence_scale": own.scale}
        save_file(kept, folder / FILE)

    def read(self, folder: Path) -> None:
        """See `Rule`."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            kept = load_file(folder / FILE)
        except (OSError, SafetensorError) as error:
            raise KdbError(f"{folder / FILE}: {error}", "train the adapter anew") from None
        self.weights, self.scale = kept["weights"], kept["scale"]
        if self.use_evidence:
            names = ("vectors", "memberships", "association", "evidence_scale")
            self.evidence = Evidence(self.embedder, *(kept[name] for name in names))


def _titles(items: Sequence[Item]) -> tuple[str, ...]:
    return tuple(item.title for item in items)


class _Tokens:
    """Rows as token ids; titles are tokenised once."""

    def __init__(self, student: Student) -> None:
        self.tokenizer = student.tokenizer
        self._kept: dict[str, list[int]] = {}
        self.choices = (self._answer(" no"), self._answer(" yes"))

    def row(self, items: Sequence[Item], anchor: int, truth: Sequence[bool] = ()) -> Example:
        """One anchor with all other items in order; the targets are `truth`, or all no where it is unknown."""
        title = prompts.quoted(items[anchor].title, TITLE_LENGTH)
        ids = list(self._ids(prompts.render("pairs", {"anchor": title})))
        found: list[int] = []
        targets: list[int] = []
        for n, item in enumerate(items):
            if n != anchor:
                title = prompts.quoted(item.title, TITLE_LENGTH)
                ids += self._ids("\n" + prompts.render("pairs_item", {"item": title}))
                found.append(len(ids) - 1)
                targets.append(self.choices[bool(truth) and truth[n]])
        return Example(ids, found, targets, self.choices)

    def _ids(self, text: str) -> list[int]:
        if text not in self._kept:
            self._kept[text] = self.tokenizer(text, add_special_tokens=False).input_ids
        return self._kept[text]

    def _answer(self, word: str) -> int:
        """The first token of an answer: what the student is asked for."""
        return self._ids(word)[0]
