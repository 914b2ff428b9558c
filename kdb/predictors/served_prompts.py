"""A student of the answer format `pair-prompts` whose language model is behind a server of log probabilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from kdb import console
from kdb.errors import UsageError
from kdb.predictors.options import InferOptions
from kdb.predictors.served_student import ServedStudent
from kdb.prompts.messages import Query
from kdb.records import Prediction
from kdb.retrieval.knowledge_base import KnowledgeBase
from kdb.student import export_probe
from kdb.student.examples import token_ids
from kdb.student.methods.build import refuse_sampling
from kdb.student.methods.pair_prompts import Floats
from kdb.student.methods.prompted_pairs import PromptedPairMethod, symmetric
from kdb.student.model import load_tokenizer
from kdb.teacher import Request, Sampling, ScoredToken
from kdb.teacher.client import open_teacher
from kdb.teacher.log_probabilities import LogProbServer

Question = tuple[int, int, list[Request]]
"""An anchor, another item, and the requests for the log probabilities of no and of yes."""


class ServedPrompts(ServedStudent[list[Floats]]):
    """Asks a server how probable no and yes are for each pair, and decides here.

    UsageError where nothing was learnt that decides, KdbError where the server does not give what is needed, or has
    another model than the one that was exported.
    """

    def __init__(self, options: InferOptions, base: KnowledgeBase) -> None:
        assert options.server
        config, folder = options.config, options.metadata
        if folder is None or config.experts:
            raise UsageError(
                "nothing here decides by a server's yes and no" if folder is None else "no server has a router",
                "pass its adapter as --adapter or what kdb export made as --student, or --answer list or labels",
            )
        if "max_tokens" in options.given:
            raise UsageError("max_tokens has no effect on a server that writes nothing", "leave it out")
        refuse_sampling(config.method, options.generation)
        self.method = PromptedPairMethod(load_tokenizer(config.student), config.method, config.context)
        self.method.load(folder)
        super().__init__(options, base, config, open_teacher(options.server, kind=LogProbServer))
        self._check_server(folder)
        if config.method.intents:
            console.say("no intents: a server of log probabilities writes nothing")

    def _check_server(self, folder: Path) -> None:
        """Ask about a session of our own: what a server lacks shows at once, and so does another model."""
        [odds] = self._asking([Query(export_probe.SESSION)])()
        server, difference = self.teacher.identity.server, ""
        if (folder / export_probe.FILE).exists():
            difference = f"; log odds differ by at most {export_probe.check(odds, folder, server):.2g}"
        console.say(f"{server} gives log probabilities{difference}")

    def _asking(self, queries: Sequence[Query]) -> Callable[[], list[Floats]]:
        encoded = [self.method.pairs.encode(query) for query in queries]
        asked = [[(n, m, self._requests(ids)) for n, m, ids in self.method.pairs.questions(own)] for own in encoded]
        return lambda: [self._log_odds(len(own.items), part) for own, part in zip(encoded, asked, strict=True)]

    def _decoded(self, queries: Sequence[Query], said: list[Floats]) -> Prediction:
        return self.method.decode(queries, said)

    def _requests(self, prompt: list[int]) -> list[Request]:
        """The prompt goes as text where it is read as the same tokens: not every server takes their numbers."""
        tokenizer = self.method.pairs.tokenizer
        text = tokenizer.decode(prompt, clean_up_tokenization_spaces=False)
        found = []
        for token in self.method.pairs.choices:
            answer = tokenizer.decode([token], clean_up_tokenization_spaces=False)
            is_text = token_ids(tokenizer, text + answer) == [*prompt, token]
            found.append(
                Request(
                    purpose="infer",
                    messages=[{"role": "user", "content": text}],
                    schema=None,
                    sampling=Sampling(max_tokens=1),
                    expected_tokens=1,
                    scored=ScoredToken(token, answer, prompt, is_text),
                )
            )
        return found

    def _log_odds(self, items: int, questions: Sequence[Question]) -> Floats:
        odds = np.zeros((items, items), dtype=np.float32)
        for anchor, other, requests in questions:
            no, yes = (float(self.teacher.ask(request).text) for request in requests)
            odds[anchor, other] = yes - no
        return symmetric(odds)
