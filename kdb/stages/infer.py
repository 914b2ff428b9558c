"""Predict bundles for the sessions of a record stream, by a student or by a baseline."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import msgspec

from kdb import console, provenance
from kdb import recipe as recipes
from kdb.conversation import Lesson, Question, Shown, prompt_hash
from kdb.errors import KdbError, UsageError
from kdb.knowledge import retrieval
from kdb.knowledge.knowledge_base import KnowledgeBase
from kdb.recipe import PAIRS, Neighbours, Recipe, Target
from kdb.records import Bundle, Format, Prediction, Record, Run, Session
from kdb.stream import Line
from kdb.student.decision import Decision
from kdb.teacher.settings import Settings

WINDOW = 64
"""So many sessions are answered together, grouped by length, and then come out in the order of the input."""

Predict = Callable[[Sequence[Session]], list["Answered"]]


@dataclass
class InferOptions:
    """How sessions are asked about; what an adapter's recipe says goes before `answer` to `target`.

    With a `server`, that has the student, and only a recipe of `student` or `adapter` is read.
    """

    student: str
    server: Settings | None = None
    adapter: Path | None = None
    baseline: str = ""
    name: str = ""
    demos: int | None = None
    knowledge: int | None = None
    formats: list[Format] | None = None
    neighbours: Neighbours | None = None
    answer: str = "list"
    target: Target = "answer"
    intents: bool = True
    free: bool = False
    samples: int = 1
    temperature: float = 0.0
    objective: str = ""
    evidence: bool = True
    batch: int = 16
    max_prompt_tokens: int = 2048
    precision: str = "auto"
    device: str = ""
    seed: int = 0


@dataclass
class Answered:
    """A decision with what was shown for it."""

    decision: Decision
    demos: list[str]
    knowledge: list[str]


@dataclass
class Predictor:
    """Something that predicts, the `run` record that says what it is, and what there is to say at the end."""

    run: Run
    predict: Predict
    finish: Callable[[], None] = lambda: None


def build(options: InferOptions, base: KnowledgeBase) -> Predictor:
    """The predictor that the options ask for, its models loaded."""
    if options.baseline:
        return _baseline(options, base)
    return _served(options, base) if options.server else _student(options, base)


def run(lines: Iterable[Line], predictor: Predictor, resumed: bool = False) -> Iterator[Line | Record]:
    """The `run` record, then one line for each line read, in order: a prediction for a session.

    Other kinds pass through. KdbError where a session stands twice or there is none.
    """
    window: list[Line] = []
    first = iter([predictor.run])  # comes once, and only where there is something to predict
    seen: set[tuple[str, str]] = set()
    waiting = 0
    for line in console.track(lines, "sessions"):
        window.append(line)
        if isinstance(line.record, Session):
            key = _key(line.record)
            if key in seen:
                raise line.error(f"session {line.record.id!r} of {line.record.domain!r} stands twice")
            seen.add(key)
            waiting += 1
        if waiting == WINDOW:
            yield from first
            yield from _predicted(window, predictor)
            window, waiting = [], 0
    if not seen and not resumed:
        raise KdbError("no session in the input", "kdb import DATA | kdb infer")
    yield from first
    yield from _predicted(window, predictor)
    predictor.finish()


def rest(lines: Iterable[Line], predictor: Predictor, done: Sequence[Line]) -> Iterator[Line | Record]:
    """What `run` has still to give after `done`, the lines that a stopped run gave for the same input.

    The window in which that run stopped is predicted again as a whole, for how sessions are batched shows in the
    last bits of a student's numbers. KdbError where `done` was made with other settings, or for other sessions.
    """
    if done and done[0].record is not None and getattr(done[0].record, "id", "") != predictor.run.id:
        raise done[0].error("made with other options, data or versions of the prompts", "repeat them exactly")
    incoming = iter(lines)
    window: list[Line] = []
    waiting = 0
    for before in done[1:]:
        line = next(incoming, None)
        if line is None:
            raise before.error("goes beyond the input", "give the input of the stopped run")
        session, prediction = line.record, before.record
        if isinstance(session, Session) and _key(session) != _key(prediction):
            raise before.error(f"does not follow the input: {line.place}", "give the input of the stopped run")
        window.append(line)
        waiting += isinstance(session, Session)
        if waiting == WINDOW:
            window, waiting = [], 0
    console.say(f"{max(len(done) - 1, 0)} lines are there already")
    outgoing = run(chain(window, incoming), predictor, resumed=len(done) > 1)
    yield from islice(outgoing, 1 + len(window) if done else 0, None)  # the run record is there too


def _key(record: Record | None) -> tuple[str, str]:
    """What identifies a session and its prediction."""
    return (record.domain, record.id) if isinstance(record, Session | Prediction) else ("", "")


def _predicted(window: Sequence[Line], predictor: Predictor) -> Iterator[Line | Record]:
    sessions = [line.record for line in window if isinstance(line.record, Session)]
    began = time.monotonic()
    answered = predictor.predict(sessions) if sessions else []
    seconds = (time.monotonic() - began) / max(len(sessions), 1)
    predictions = iter(
        _prediction(session, answer, predictor.run.id, seconds)
        for session, answer in zip(sessions, answered, strict=True)
    )
    for line in window:
        yield next(predictions) if isinstance(line.record, Session) else line


def _prediction(session: Session, answered: Answered, run: str, seconds: float) -> Prediction:
    decision = answered.decision
    return Prediction(
        id=session.id,
        domain=session.domain,
        items=[item.id for item in session.items],
        bundles=decision.bundles,
        status=decision.status,
        run=run,
        raw=decision.raw,
        truth=session.truth,
        imported=session.imported,
        demos=answered.demos,
        knowledge=answered.knowledge,
        left_out=decision.left_out,
        usage=decision.usage,
        seconds=round(seconds, 6),
    )


def _baseline(options: InferOptions, base: KnowledgeBase) -> Predictor:
    from kdb import baselines

    known = [*base.training, *base.validation]
    objective = options.objective or "f1"
    model = baselines.build(options.baseline, known, base.knowledge, objective, options.seed)

    def predict(sessions: Sequence[Session]) -> list[Answered]:
        return [
            Answered(Decision([Bundle(list(items)) for items in model.bundles(session)]), [], [])
            for session in sessions
        ]

    settings = {"baseline": options.baseline, "objective": objective}
    return Predictor(_run(settings, options, base, {}), predict)


def _student(options: InferOptions, base: KnowledgeBase) -> Predictor:
    from kdb.student import voting
    from kdb.student.model import load, quantises
    from kdb.student.rules import Serving, build_rule

    taught = recipes.taught(options.student, options.adapter)
    recipe = _recipe(options, taught)
    if recipe.load_in_4bit and not quantises(options.device):
        console.warn("trained on weights in 4 bits, asked with all bits: no bitsandbytes or no CUDA device here")
        recipe.load_in_4bit = False
    student = load(recipe.student, options.adapter, options.precision, options.device, recipe.load_in_4bit)
    serving = Serving(options.max_prompt_tokens, options.free, options.temperature, options.seed)
    rule = build_rule(student, recipe, serving)
    asked = _questions(base, recipe)
    if taught:
        rule.read(taught)
    elif base.training and base.validation:
        truth = [session.truth or [] for session in base.validation]
        lessons = [Lesson(q, own) for q, own in zip(asked(base.validation), truth, strict=True)]
        rule.learn(base.training, lessons, options.batch)

    def predict(sessions: Sequence[Session]) -> list[Answered]:
        polls = [voting.poll(question, options.samples, options.seed) for question in asked(sessions)]
        return [_answered(decision) for decision in rule.vote(polls, options.batch)]

    settings = {
        **_asking(options, recipe, taught),
        "precision": str(student.model.dtype).removeprefix("torch."),
    }
    measured = {
        "parameters": student.parameters,
        "device": str(student.device),
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }
    return Predictor(_run(settings, options, base, measured), predict)


def _served(options: InferOptions, base: KnowledgeBase) -> Predictor:
    from kdb.answers import text_answer
    from kdb.student import voting
    from kdb.student.text_rule import Writing
    from kdb.teacher.desk import open_account
    from kdb.teacher.served import Served

    assert options.server
    taught = recipes.taught(options.student, options.adapter)
    recipe = _recipe(options, taught)
    recipe.student = options.server.model
    if recipe.answer == PAIRS:
        raise UsageError(
            "the answer format pairs needs a student's probabilities, which servers do not give",
            "ask for --answer list or labels or an adapter trained on one, or leave out --backend",
        )
    writing = Writing(
        reasoned=recipe.target == "thought+answer",
        free=options.free,
        temperature=options.temperature,
        seed=options.seed,
    )
    answer = text_answer(recipe.answer, recipe.intents)
    student = Served(open_account(options.server), answer, writing, options.max_prompt_tokens, options.server)
    asked = _questions(base, recipe)

    def predict(sessions: Sequence[Session]) -> list[Answered]:
        polls = [voting.poll(question, options.samples, options.seed) for question in asked(sessions)]
        return [_answered(decision) for decision in student.vote(polls, [session.id for session in sessions])]

    settings = {
        **_asking(options, recipe, taught),
        "backend": "endpoint",
        "model": options.server.model,
        "max_tokens": options.server.max_tokens,
    }
    return Predictor(_run(settings, options, base, {}), predict, student.finish)


def _questions(base: KnowledgeBase, recipe: Recipe) -> Callable[[Sequence[Session]], list[Question]]:
    """What makes questions of sessions: each with what the recipe wants shown beside it."""
    retriever = retrieval.build(base, recipe)

    def asked(sessions: Sequence[Session]) -> list[Question]:
        shown = retriever.shown(sessions) if retriever else [Shown()] * len(sessions)
        return [Question(list(s.items), own) for s, own in zip(sessions, shown, strict=True)]

    return asked


def _answered(decision: Decision) -> Answered:
    shown = decision.shown
    return Answered(decision, [demo.session.id for demo in shown.demos], [piece.id for piece in shown.pieces])


def _asking(options: InferOptions, recipe: Recipe, taught: Path | None) -> dict[str, Any]:
    """The settings of a student, wherever it is."""
    from kdb.student import adapter

    return {
        **msgspec.to_builtins(recipe),
        "prompt": prompt_hash(recipe),
        "adapter": provenance.file_hash(options.adapter or Path(options.student)) if taught else "",
        "trained": adapter.stamp(taught) if taught else {},
        "free": options.free,
        "max_prompt_tokens": options.max_prompt_tokens,
        "samples": options.samples,
        "temperature": options.temperature,
    }


def _recipe(options: InferOptions, taught: Path | None) -> Recipe:
    """The recipe that the student was taught by, or one without training; flags that were given go before it."""
    from kdb.student import adapter

    if taught:
        recipe = adapter.read_recipe(taught)
        recipe.student = recipe.student if options.adapter else options.student
    else:
        recipe = Recipe(
            student=options.student,
            answer=options.answer,
            intents=options.intents,
            evidence=options.evidence,
            target=options.target,
        )
    recipe.objective = options.objective or recipe.objective
    for name in ("demos", "knowledge", "formats", "neighbours"):
        if (value := getattr(options, name)) is not None:
            setattr(recipe, name, value)
    return recipe


def _run(settings: dict[str, Any], options: InferOptions, base: KnowledgeBase, measured: dict[str, Any]) -> Run:
    if options.name:
        settings = {"name": options.name, **settings}
    settings = {**settings, "kb": msgspec.to_builtins(base.holdings)}
    inputs = {"kb": provenance.content_hash([base.training, base.validation, base.knowledge])}
    return Run(
        id=provenance.content_hash([settings, options.seed, inputs]),
        command="infer",
        settings=settings,
        seed=options.seed,
        versions=provenance.versions(),
        inputs=inputs,
        measured=measured,
    )
