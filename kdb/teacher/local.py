"""A teacher in this process: any causal LM of Transformers with a chat template, by name, folder or hub id.

It is generated from as a student is, and held to the schema of a request by a grammar. Requests that wait at
the same time are answered as one batch.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec

from kdb.errors import KdbError
from kdb.records import Usage
from kdb.student.generate import Generator, SamplingConfig
from kdb.student.model import load
from kdb.teacher import Answer, Request, RequestFailed, TeacherUnavailable, Unanswered

Waiting = tuple[Request, asyncio.Future[Answer]]


class Local:
    """The model is loaded when the first request comes, in fp32.

    In fp32 the company in a batch hardly ever changes an answer; bf16 would round them apart.
    """

    def __init__(self, path: str, model: str, batch: int) -> None:
        self.model = model
        self._path = path
        self._batch = batch
        self._generator: Generator | None = None
        self._waiting: list[Waiting] = []
        self._worker: asyncio.Task[None] | None = None

    async def ask(self, request: Request) -> Answer:
        """The model's answer, in a batch with those that are asked at the same time."""
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answer))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        while self._waiting:
            await asyncio.sleep(0.05)  # let those come that the last batch's answers lead to
            first = self._waiting[0][0]
            batch = [w for w in self._waiting if w[0].sampling == first.sampling][: self._batch]
            self._waiting = [w for w in self._waiting if w not in batch]
            try:
                results = await asyncio.to_thread(self._answers, [request for request, _ in batch])
            except BaseException as error:
                for _, future in batch:
                    future.set_exception(error)
                raise
            for (_, future), result in zip(batch, results, strict=True):
                if future.done():
                    continue
                if isinstance(result, Unanswered):
                    future.set_exception(result)
                else:
                    future.set_result(result)

    def _answers(self, requests: list[Request]) -> list[Answer | Unanswered]:
        """An answer to each, or why there is none."""
        try:
            self._generator = self._generator or Generator(load(self._path, precision="fp32"))
            prompts = [self._tokens(request) for request in requests]
        except KdbError as error:
            return [TeacherUnavailable(f"teacher: {error.message}", error.hint)] * len(requests)
        limit = self._generator.student.context
        fitting = [n for n, prompt in enumerate(prompts) if len(prompt) < limit]
        answers: list[Answer | Unanswered] = [
            RequestFailed(f"a request of {len(prompt)} tokens is longer than the {limit} that {self.model} reads")
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
        most = min(sampling.max_tokens, self._generator.student.context - max(map(len, prompts)))
        started = time.monotonic()
        grammars = [request.grammar or _grammar(request.schema or {}) for request in requests]
        seeds = [f"{sampling.seed}:{prompt}" for prompt in prompts]
        chance = SamplingConfig(sampling.temperature, seeds) if sampling.temperature else None
        made = self._generator.generate(prompts, grammars, most, chance)
        seconds = (time.monotonic() - started) / len(requests)
        return [
            Answer(text, Usage(len(prompt), tokens), "length" if tokens == most else "stop", seconds)
            for prompt, (text, tokens) in zip(prompts, made, strict=True)
        ]

    def _tokens(self, request: Request) -> list[int]:
        assert self._generator
        tokenizer = self._generator.student.tokenizer
        if not tokenizer.chat_template:
            raise KdbError(f"{self.model} has no chat template", "choose one that is tuned to instructions")
        text = tokenizer.apply_chat_template(request.messages, tokenize=False, add_generation_prompt=True)
        return tokenizer.encode(text, add_special_tokens=False)


def _grammar(schema: dict[str, Any]) -> str:
    """The EBNF of the JSON of a schema, written without blanks between its parts."""
    import xgrammar

    return str(xgrammar.Grammar.from_json_schema(msgspec.json.encode(schema).decode(), any_whitespace=False))
