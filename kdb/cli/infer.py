"""`kdb infer`: sessions in, predictions out."""

from pathlib import Path
from typing import Annotated

import typer

from kdb import weights
from kdb.cli.options import command
from kdb.cli.streams import StreamOptions
from kdb.cli.student import Device, Goal, MaxPromptTokens, Precision, Seed, Student
from kdb.cli.student import formats as known_formats
from kdb.errors import UsageError
from kdb.student.config import Aggregation, Retrieval
from kdb.teacher.config import StudentServerConfig

BASELINES = "whole-session, all-pairs, clusters, pattern-matching, pair-classifier or partition-crf"


@command
def infer(
    streams: StreamOptions,
    server: StudentServerConfig,
    student: Student = weights.STUDENT,
    adapter: Annotated[Path | None, typer.Option(help="A folder made by kdb train.")] = None,
    kb: Annotated[
        list[Path] | None, typer.Option(help="TrainingConfig sessions and knowledge to draw on; repeatable.")
    ] = None,
    demos: Annotated[
        int | None, typer.Option(min=0, help="Demonstrations from --kb.  [default: as trained, else 0]")
    ] = None,
    knowledge: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Patterns and rules; if any, demonstrations bring thoughts.  [default: as trained, else 0]",
        ),
    ] = None,
    formats: Annotated[
        str, typer.Option(help="Only this knowledge: pattern,rule,thought.  [default: as trained, else all]")
    ] = "",
    neighbours: Annotated[
        Retrieval | None,
        typer.Option(
            help="Demonstrations are nearest by all titles as one text, or item by item.  "
            "[default: as trained, else session]"
        ),
    ] = None,
    answer: Annotated[str, typer.Option(help="Answer format without an adapter: list, labels or pairs.")] = "list",
    target: Goal = "answer",
    intents: Annotated[bool, typer.Option(help="Let answers name intents, without an adapter.")] = True,
    free: Annotated[
        bool, typer.Option("--free", help="No grammar: answers are repaired, or fail and are counted.")
    ] = False,
    samples: Annotated[int, typer.Option(min=1, help="Ask with items in so many orders; the answers vote.")] = 1,
    vote: Annotated[
        Aggregation,
        typer.Option(help="What they vote on: an answer, each bundle, or each pair (text only)."),
    ] = "answer",
    temperature: Annotated[
        float, typer.Option(min=0, help="Above 0, draw answers instead of taking the likeliest (text only).")
    ] = 0.0,
    baseline: Annotated[str, typer.Option(help=f"No student: {BASELINES}.")] = "",
    name: Annotated[str, typer.Option(help="What tables call this run.", show_default=False)] = "",
    objective: Annotated[
        str, typer.Option(help="What decisions aim at: f1 or precision.  [default: as trained, else f1]")
    ] = "",
    evidence: Annotated[
        bool, typer.Option(help="Decode titles, categories and patterns too (pairs without an adapter).")
    ] = True,
    batch: Annotated[int, typer.Option(min=1, help="Sequences in a batch.")] = 16,
    max_prompt_tokens: MaxPromptTokens = 2048,
    precision: Precision = "auto",
    device: Device = "",
    seed: Seed = 0,
    resume: Annotated[
        Path | None,
        typer.Option(help="Finish this output of a stopped run, in place, given the same input and options."),
    ] = None,
) -> None:
    """Predict bundles for sessions: zero-shot, with demonstrations, with an adapter, or by a baseline.

    A student can only name items of the session (--free lifts that). Predictions come in the order of
    the input, after a `run` record. What a killed run had written is whole: finish it with --resume.

    With --samples, a text answer is chosen that agrees most with the others (mean matched F1), or bundles or pairs
    that most of them name (--vote); of the format pairs, the probabilities are averaged.

    With --backend endpoint a server has the student (vLLM with an adapter, transformers serve, any other), and is
    asked the same; its key is read from KDB_TEACHER_KEY. What was answered once is never asked again. Prompts are
    as long there as an estimate says. Where the server knows no grammar, answers are repaired, or fail and count.

    Example: kdb import DATA --split test | kdb infer --adapter adapter/ | kdb eval
    """
    from kdb import stream
    from kdb.predictors.student import InferOptions, build
    from kdb.retrieval.knowledge_base import KnowledgeBase
    from kdb.stages import infer as stage

    remote = server.as_teacher()
    if remote and baseline:
        raise UsageError("a baseline needs no server", "leave out --backend or --baseline")
    if resume and streams.output:
        raise UsageError("--resume finishes a file in place", "leave out --output")
    options = InferOptions(
        student=student,
        server=remote,
        adapter=adapter,
        baseline=baseline,
        name=name,
        demos=demos,
        knowledge=knowledge,
        formats=known_formats(formats),
        neighbours=neighbours,
        answer=answer,
        target=target,
        intents=intents and answer == "list",
        free=free,
        samples=samples,
        vote=vote,
        temperature=temperature,
        objective=objective,
        evidence=evidence,
        batch=batch,
        max_prompt_tokens=max_prompt_tokens,
        precision=precision,
        device=device,
        seed=seed,
    )
    base = KnowledgeBase.read(streams.read_files(kb, ("session", "knowledge"))) if kb else KnowledgeBase()
    predictor = build(options, base)
    lines = streams.read("session")
    if resume is None:
        streams.write(stage.run(lines, predictor))
        return
    with stream.resume_output(resume) as (file, done):
        stream.write(stage.rest(lines, predictor, done), file)
    streams.finish()
