"""What is shown beside a session: the demonstrations nearest to it, and the knowledge that bears on it.

Only titles of the session are looked at: nothing else of it may be known at inference.
"""

from __future__ import annotations

from collections.abc import Sequence

from kdb import registry
from kdb.errors import KdbError, UsageError
from kdb.prompts.messages import Demo, PromptContext
from kdb.records import SHOWN_AS, Knowledge, Session
from kdb.retrieval import RETRIEVERS, Retriever
from kdb.retrieval.config import ContextConfig
from kdb.retrieval.embedder import Embedder, open_embedder
from kdb.retrieval.knowledge_base import KnowledgeBase, thoughts
from kdb.retrieval.relevance import Relevance


class ContextRetriever:
    """Finds what a configuration wants shown, in a knowledge base."""

    def __init__(self, base: KnowledgeBase, config: ContextConfig, embedder: Embedder) -> None:
        for session in base.training:
            if session.split == "test":
                raise KdbError(
                    f"session {session.id!r} is of the test split", "no demonstration may come from there"
                )
        self.config, self.training, self.embedder = config, base.training, embedder
        knowledge = base.of_formats(config.formats) if config.knowledge else []
        self._thoughts = thoughts(knowledge)
        self._corrections = base.corrections() if config.corrections else {}
        retriever = registry.load(RETRIEVERS, config.retrieval, "retriever")
        self._retriever: Retriever = retriever(embedder, base.training)
        self._relevance = {
            domain: Relevance(
                embedder, [k for k in knowledge if k.domain == domain and SHOWN_AS[k.format] == "context"]
            )
            for domain in {k.domain for k in knowledge}
        }

    def shown(self, sessions: Sequence[Session]) -> list[PromptContext]:
        """For each session the demonstrations, most similar last, and the knowledge, most relevant first.

        Never the session itself, no thought about it, and only knowledge of its domain that was not drawn from
        it alone.
        """
        demos = self._demos(sessions)
        return [PromptContext(own, self._knowledge(session)) for session, own in zip(sessions, demos, strict=True)]

    def _demos(self, sessions: Sequence[Session]) -> list[list[Demo]]:
        if not self.config.demos or not self.training:
            return [[] for _ in sessions]
        # One more, because the session itself may be among them.
        found = self._retriever.nearest(sessions, self.config.demos + 1)
        demos = []
        for session, places in zip(sessions, found, strict=True):
            others = [self.training[n] for n in places if self.training[n].key != session.key]
            nearby = others[: self.config.demos]
            demos.append([self._demo(other) for other in reversed(nearby)])
        return demos

    def _demo(self, session: Session) -> Demo:
        return Demo(session, self._thoughts.get(session.key), self._corrections.get(session.key))

    def _knowledge(self, session: Session) -> list[Knowledge]:
        relevance = self._relevance.get(session.domain)
        if relevance is None:
            return []
        titles = self.embedder.encode([item.title for item in session.items])
        pieces = (relevance.pieces[n] for n in relevance.ranked(titles))
        others = (piece for piece in pieces if piece.source.sessions != [session.id])
        return [piece for piece, _ in zip(others, range(self.config.knowledge), strict=False)]


def retrieve_context(
    base: KnowledgeBase, config: ContextConfig, sessions: Sequence[Session]
) -> list[PromptContext]:
    """What `ContextRetriever` retrieves for sessions; nothing where the configuration wants nothing."""
    retriever = build(base, config)
    return retriever.shown(sessions) if retriever else [PromptContext()] * len(sessions)


def build(base: KnowledgeBase, config: ContextConfig) -> ContextRetriever | None:
    """The retriever that a configuration asks for; UsageError where there is nothing to draw on."""
    if config.corrections and not config.demos:
        raise UsageError("corrections stand in demonstrations, and there are none", "pass --demos")
    if not (config.demos or config.knowledge):
        return None
    if not (base.training or base.knowledge):
        raise UsageError("no training session or knowledge to show", "pass a record file with --kb")
    if config.corrections and not base.corrections():
        raise UsageError("no training session has a correction to show", "kdb extract correction")
    return ContextRetriever(base, config, open_embedder(config.embedder))
