"""`kdb train`: training sessions and knowledge in, a LoRA adapter and a `run` record out."""

from pathlib import Path
from typing import Annotated

import typer

from kdb import console, stream, weights
from kdb.cli.options import command
from kdb.cli.streams import RecordOptions
from kdb.cli.student import Device, Formats, Goal, MaxPromptTokens, Nearness, Precision, Seed, Student, names
from kdb.cli.student import formats as known_formats
from kdb.errors import UsageError
from kdb.records import Run


@command
def train(
    streams: RecordOptions,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The folder for the adapter.", show_default=False)
    ] = None,
    emit: Annotated[
        Path | None,
        typer.Option(help="Train nothing: write the examples here as chat messages.", show_default=False),
    ] = None,
    route: Annotated[
        str,
        typer.Option(help="Train a router over these adapters of one prompt, by commas; they stay as they are."),
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Overwrite the folder or file.")] = False,
    student: Student = weights.STUDENT,
    answer: Annotated[str, typer.Option(help="Answer format: pairs, list or labels.")] = "pairs",
    intents: Annotated[bool, typer.Option(help="Let answers name intents (list only).")] = True,
    objective: Annotated[str, typer.Option(help="What decisions aim at: f1 or precision (pairs).")] = "f1",
    evidence: Annotated[
        bool, typer.Option(help="Decode titles, categories and patterns with the student's answers (pairs).")
    ] = True,
    demos: Annotated[int, typer.Option(min=0, help="Demonstrations in each training prompt.")] = 0,
    knowledge: Annotated[
        int, typer.Option(min=0, help="Patterns and rules in each prompt; if any, demonstrations bring thoughts.")
    ] = 0,
    formats: Formats = "",
    neighbours: Nearness = "session",
    target: Goal = "answer",
    max_thought_tokens: Annotated[int, typer.Option(min=1, help="Thoughts to learn are cut there.")] = 256,
    max_prompt_tokens: MaxPromptTokens = 2048,
    epochs: Annotated[float, typer.Option(min=0, help="Passes over the sessions.")] = 1,
    steps: Annotated[int, typer.Option(min=0, help="Optimiser steps, instead of --epochs.")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="Examples in a batch of one process.")] = 8,
    accumulate: Annotated[int, typer.Option(min=1, help="Batches in an optimiser step.")] = 1,
    learning_rate: Annotated[float, typer.Option(min=0, help="The highest learning rate.")] = 5e-4,
    warmup: Annotated[float, typer.Option(min=0, max=1, help="Share of steps in which it rises.")] = 0.05,
    lora_rank: Annotated[int, typer.Option(min=1, help="Rank of the adapter.")] = 16,
    lora_alpha: Annotated[int, typer.Option(min=1, help="Its scale is alpha / rank.")] = 32,
    lora_dropout: Annotated[float, typer.Option(min=0, max=0.99, help="Dropout before the adapter.")] = 0.0,
    lora_depth: Annotated[
        float, typer.Option(min=0, max=1, help="Share of the blocks that get an adapter, from the top.")
    ] = 0.5,
    lora_targets: Annotated[str, typer.Option(help="Layer names, by commas, or all-linear.")] = "all-linear",
    load_in_4bit: Annotated[
        bool,
        typer.Option("--load-in-4bit", help="QLoRA: the weights under the adapter in 4 bits (CUDA, bitsandbytes)."),
    ] = False,
    precision: Precision = "auto",
    device: Device = "",
    seed: Seed = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a killed run stopped.")] = False,
) -> None:
    """Train a LoRA adapter on the training sessions of the input; prints a `run` record.

    All input is read before training begins. Sessions with split `validation` choose the best epoch;
    without any, a tenth of the training sessions is held out for that. Work lies in OUTPUT.part until
    it is complete.

    Patterns and rules that bear on a session stand in its prompt (--knowledge), thoughts in demonstrations
    (--demos). To learn thoughts, use --target.

    With --route only the weights of the adapters are learnt, for each prompt anew; what they are asked is what
    they were trained on, whatever other flags say.

    Under torchrun or accelerate launch, each step takes a batch of every process, and the first process writes.

    Example: kdb train kb.jsonl --student smollm2-135m -o adapter/
    """
    from kdb.student import distributed

    console.process = distributed.rank()
    if distributed.count() > 1:
        if emit:
            raise UsageError("--emit trains nothing", "run it in one process")
        if not streams.paths or stream.STDIN in streams.paths:
            raise UsageError("several processes cannot share stdin", "name the files to train on")
    from kdb.stages import emit as emitting
    from kdb.stages import train as training
    from kdb.student import config as recipes
    from kdb.student.experts import routed_config

    recipe = recipes.StudentConfig(
        student=student,
        answer=answer,
        intents=intents and answer == "list",
        objective=objective,
        evidence=evidence,
        demos=demos,
        knowledge=knowledge,
        formats=known_formats(formats) or [],
        neighbours=neighbours,
        target=target,
        max_thought_tokens=max_thought_tokens,
        load_in_4bit=load_in_4bit,
        lora=recipes.LoraConfig(
            rank=lora_rank, alpha=lora_alpha, dropout=lora_dropout, targets=lora_targets, depth=lora_depth
        ),
        training=recipes.TrainingConfig(
            learning_rate=learning_rate,
            epochs=epochs,
            steps=steps,
            batch=batch,
            accumulate=accumulate,
            warmup=warmup,
            seed=seed,
            precision=precision,
        ),
    )
    experts = [Path(name) for name in names(route) or []]
    if experts:
        recipe = routed_config(recipe, experts)
    if output and emit:
        raise UsageError("--emit trains nothing", "leave out --output")
    lines = streams.read("session", "knowledge")
    if emit:
        with stream.output(emit, force) as examples:
            record: Run | None = emitting.run(lines, recipe, max_prompt_tokens, examples)
    elif output:
        options = training.TrainOptions(output, experts, device, resume, force, max_prompt_tokens)
        record = training.run(lines, recipe, options)
    else:
        raise UsageError("train needs a place for its work", "pass --output FOLDER, or --emit FILE")
    with stream.output(None) as file:
        stream.write([record] if record else [], file)
    streams.finish()
