"""`kdb train`: training sessions and knowledge in, a LoRA adapter and a `run` record out."""

from pathlib import Path
from typing import Annotated

import typer

from kdb import models
from kdb.cli.shared import Streams, with_streams


@with_streams(without=("output", "force"))
def train(
    streams: Streams,
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder for the adapter.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite the folder.")] = False,
    student: Annotated[str, typer.Option(help="Model folder, hub id or packaged name.")] = models.STUDENT,
    answer: Annotated[str, typer.Option(help="Answer format: pairs, list or labels.")] = "pairs",
    intents: Annotated[bool, typer.Option(help="Let answers name intents (list only).")] = True,
    objective: Annotated[str, typer.Option(help="What decisions aim at: f1 or precision (pairs).")] = "f1",
    evidence: Annotated[
        bool, typer.Option(help="Decode titles, categories and patterns with the student's answers (pairs).")
    ] = True,
    demos: Annotated[int, typer.Option(min=0, help="Demonstrations in each training prompt.")] = 0,
    knowledge: Annotated[int, typer.Option(min=0, help="Pieces of knowledge in each prompt.")] = 0,
    max_prompt_tokens: Annotated[int, typer.Option(min=64, help="Longest prompt.")] = 2048,
    epochs: Annotated[float, typer.Option(min=0, help="Passes over the sessions.")] = 1,
    steps: Annotated[int, typer.Option(min=0, help="Optimiser steps, instead of --epochs.")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="Examples in a batch.")] = 8,
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
    precision: Annotated[str, typer.Option(help="auto, bf16 or fp32; auto: bf16 where it is native.")] = "auto",
    device: Annotated[str, typer.Option(help="cpu, cuda, ...; found by itself.", show_default=False)] = "",
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a killed run stopped.")] = False,
) -> None:
    """Train a LoRA adapter on the training sessions of the input; prints a `run` record.

    All input is read before training begins. Sessions with split `validation` choose the best epoch;
    without any, a tenth of the training sessions is held out for that. Work lies in OUTPUT.part until
    it is complete.

    Example: kdb train kb.jsonl --student smollm2-135m -o adapter/
    """
    from kdb import recipe as recipes
    from kdb import stream
    from kdb.stages import train as stage

    recipe = recipes.Recipe(
        student=student,
        answer=answer,
        intents=intents and answer == "list",
        objective=objective,
        evidence=evidence,
        demos=demos,
        knowledge=knowledge,
        lora=recipes.Lora(
            rank=lora_rank, alpha=lora_alpha, dropout=lora_dropout, targets=lora_targets, depth=lora_depth
        ),
        training=recipes.Training(
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
    options = stage.TrainOptions(output, device, resume, force, max_prompt_tokens)
    record = stage.run(streams.read("session", "knowledge"), recipe, options)
    with stream.output(None) as file:
        stream.write([record], file)
    streams.finish()
