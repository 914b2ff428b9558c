"""A teacher in this process: any causal LM of Transformers with a chat template, by name, folder or hub id.

It is generated from as a student is, and held to the schema of a request by a grammar. Requests that wait at
the same time are answered as one batch.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import Any, Self

import msgspec

from kdb.errors import KdbError
from kdb.records import Usage
from kdb.student.generate import Generator, SamplingConfig
from kdb.student.model import load
from kdb.teacher import Answer, Backend, Identity, Request, RequestInvalid, TeacherUnavailable
from kdb.teacher.config import TeacherConfig

GATHER = 0.05
"""Seconds in which a batch gathers those requests that the last batch's answers lead to."""

Waiting = tuple[Request, "Future[Answer]"]


class LocalModel(Backend):
    """The model is loaded when the first request comes, by default in fp32.

    In fp32 the others in a batch hardly ever change an answer; bf16, which is faster and half as large, may round
    them apart.
    """

    def __init__(self, identity: Identity, path: str, batch: int, precision: str = "fp32") -> None:
        super().__init__(identity)
        self._path = path
        self._precision = precision
        self._batch = batch
        self._generator: Generator | None = None
        self._waiting: list[Waiting] = []
        self._changed = threading.Condition()
        self._worker: threading.Thread | None = None

    @classmethod
    def open(cls, identity: Identity, config: TeacherConfig) -> Self:
        """See `Backend`; as many requests in a batch as may be in flight at once."""
        return cls(identity, config.teacher, config.concurrency, config.precision)

    def ask(self, request: Request) -> Answer:
        """The model's answer, in a batch with those that are asked at the same time."""
        future: Future[Answer] = Future()
        with self._changed:
            self._waiting.append((request, future))
            self._changed.notify()
            if self._worker is None:
                self._worker = threading.Thread(target=self._work, daemon=True)
                self._worker.start()
        return future.result()

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
            time.sleep(GATHER)
            with self._changed:
                first = self._waiting[0][0]
                batch = [w for w in self._waiting if w[0].sampling == first.sampling][: self._batch]
                self._waiting = [w for w in self._waiting if w not in batch]
            try:
                results = self._answers([request for request, _ in batch])
            except BaseException as error:
                results = [error] * len(batch)
            for (_, future), result in zip(batch, results, strict=True):
                if isinstance(result, Answer):
                    future.set_result(result)
                else:
                    future.set_exception(result)

    def _answers(self, requests: list[Request]) -> list[Answer | BaseException]:
        """An answer to each, or why there is none."""
        try:
            self._generator = self._generator or Generator(load(self._path, precision=self._precision))
            prompts = [self._tokens(request) for request in requests]
        except KdbError as error:
            return [TeacherUnavailable(f"teacher: {error.message}", error.hint)] * len(requests)
        limit = self._generator.student.context_length
        fitting = [n for n, prompt in enumerate(prompts) if len(prompt) < limit]
        answers: list[Answer | BaseException] = [
            RequestInvalid(
                f"a request of {len(prompt)} tokens is longer than the {limit} that {self.identity.model} reads"
            )
            for prompt in prompts
        ]
        if fitting:
            made = self._generate([requests[n] for n in fitting], [prompts[n] for n in fitting])
            for n, answer in zip(fitting, made, strict=True):
                answers[n] = answer
        return answers

    def _generate(self, requests: list[Request], prompts: list[list[int]]) -> list[Answer]:
        assert self._generator
        sampling = requests[0].sampling
        most = min(sampling.max_tokens, self._generator.student.context_length - max(map(len, prompts)))
        started = time.monotonic()
        grammars = [request.grammar or _grammar(request.schema or {}) for request in requests]
        seeds = [f"{sampling.seed}:{prompt}" for prompt in prompts]
        chance = SamplingConfig(sampling.temperature, seeds) if sampling.temperature else None
        made = self._generator.generate(prompts, grammars, most, chance)
        seconds = (time.monotonic() - started) / len(requests)
        return [
            Answer(text, Usage(len(prompt), tokens), "length" if tokens == most else "stop", seconds)
            for prompt, (text, tokens, _) in zip(prompts, made, strict=True)
        ]

    def _tokens(self, request: Request) -> list[int]:
        assert self._generator
        tokenizer = self._generator.student.tokenizer
        if not tokenizer.chat_template:
            raise KdbError(
                f"{self.identity.model} has no chat template", "choose one that is tuned to instructions"
            )
        text = tokenizer.apply_chat_template(request.messages, tokenize=False, add_generation_prompt=True)
        return tokenizer.encode(text, add_special_tokens=False)


def _grammar(schema: dict[str, Any]) -> str:
    """The EBNF of the JSON of a schema, written without blanks between its parts."""
    import xgrammar

    return str(xgrammar.Grammar.from_json_schema(msgspec.json.encode(schema).decode(), any_whitespace=False))
