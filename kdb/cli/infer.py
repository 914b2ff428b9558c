"""`kdb infer`: sessions in, predictions out."""

from collections import deque
from pathlib import Path
from typing import Annotated

from typer import Option

from kdb import console
from kdb.cli.options import Given, command
from kdb.cli.streams import StreamOptions
from kdb.cli.student import HardwareOptions, Tag, tags
from kdb.predictors import PREDICTORS
from kdb.retrieval.config import ContextConfig
from kdb.student import weights
from kdb.student.config import AskedConfig, MethodConfig, config_folder
from kdb.student.generation_config import GenerationConfig
from kdb.teacher.config import StudentServerConfig

METHOD = " ".join(name for name in MethodConfig.__struct_fields__ if name != "utility")
OF_STUDENTS = f"student adapter {METHOD} temperature samples aggregate unconstrained"
PROMPTED = "demos knowledge corrections retrieval max_prompt_tokens"
"""What means nothing to a baseline."""
OF_SERVERS = "concurrency timeout retries max_tokens cache budget max_requests extra_body"
HARDWARE = "batch_size precision device"


@command(rare=f"{OF_SERVERS} formats min_confidence temperature")
def infer(
    streams: StreamOptions,
    *,
    given: Given,
    hardware: HardwareOptions,
    student: Annotated[
        str, Option(help="Model folder, hub id, packaged name, or what kdb export made.")
    ] = weights.STUDENT,
    adapter: Annotated[Path | None, Option(help="A folder made by kdb train.", show_default=False)] = None,
    baseline: Annotated[str, Option(help=f"No student: {', '.join(PREDICTORS)}.")] = "",
    kb: Annotated[list[Path] | None, Option(help="Training sessions and knowledge to draw on; repeatable.")] = None,
    method: AskedConfig,
    context: ContextConfig,
    generation: GenerationConfig,
    server: StudentServerConfig,
    min_probability: Annotated[
        float, Option(min=0, max=1, help="Only bundles of this probability or more.", show_default=False)
    ] = 0.0,
    top: Annotated[
        int, Option(min=0, help="Only so many bundles of a session, the most probable.", show_default=False)
    ] = 0,
    window: Annotated[
        int,
        Option(min=0, help="Answer so many sessions at a time, as they come; 1: line by line.", show_default=False),
    ] = 0,
    name: Annotated[str, Option(help="What tables call this run.", show_default=False)] = "",
    tag: Tag = None,
    resume: Annotated[
        Path | None,
        Option(help="Finish this output of a stopped run, in place, given the same input and options."),
    ] = None,
) -> None:
    """Predict bundles for sessions: zero-shot, with demonstrations, with an adapter, or by a baseline.

    An adapter is asked as it was trained: what prompts hold (--demos, --knowledge) and the utility may be changed,
    its answer format may not. --student beside it says where the weights lie that it was trained on.

    With --set corrections=true, a demonstration shows what a teacher first answered and what was wrong with that
    (kdb extract correction) before the right answer.

    A student can only name items of the session, unless unconstrained. All input is read first. Predictions come in
    the order of the input, after a `run` record that says how many there will be. What a killed run had written is
    finished with --resume. With --window nothing is read ahead: a program feeds a line and reads its answer, the
    memory does not grow, and the `run` record says nothing of the input. Under torchrun, processes share sessions.

    With --samples, a text answer is chosen that agrees most with the others (mean matched F1), or bundles or pairs
    that most of them name (aggregate); of the format pairs, the probabilities are averaged.

    With --backend endpoint a server has the student (vLLM with an adapter, transformers serve, any other), and is
    asked the same; its key is read from KDB_TEACHER_KEY. What was answered once is never asked again. Prompts are
    as long there as an estimate says. Where the server knows no grammar, answers are repaired, or fail and count.
    A student of the format pairs needs a server of token states and the folder of kdb export --format encoder or
    gguf as --student; one of pair-prompts a server of log probabilities, and its adapter or what kdb export made.

    Example: kdb import DATA --split test | kdb infer --adapter adapter/ | kdb eval
    """
    import gc

    from kdb.io import stream
    from kdb.predictors.build import build
    from kdb.predictors.most_probable import MostProbable
    from kdb.predictors.options import InferOptions
    from kdb.retrieval.knowledge_base import KnowledgeBase
    from kdb.stages import infer as stage
    from kdb.student import distributed

    console.configure(streams.quiet, distributed.rank())
    remote = server.as_teacher()
    refuse_without_effect(given, baseline, bool(remote), student)
    if generation.samples == 1:
        given.refuse("aggregate", "--samples 1")
    if resume:
        given.refuse("output window", "--resume")
    if distributed.world_size() > 1:
        given.refuse("window backend", "several processes")
        streams.refuse_shared_stdin()
    reading = streams.read("session")
    lines = None if window else stage.read(reading)
    gc.freeze()  # lines stay to the end, and walking through a million at each collection takes long
    with distributed.process_group("cpu" if baseline else hardware.device) as device:
        options = InferOptions(
            student=student,
            adapter=adapter,
            baseline=baseline,
            server=remote,
            method=method,
            context=context,
            generation=generation,
            given=set(given),
            batch_size=hardware.batch_size,
            precision=hardware.precision,
            device=device,
        )
        base = KnowledgeBase()
        if kb:
            base = KnowledgeBase.read(streams.read_files(kb, ("session", "knowledge")), options.kb_context)
        predictor = build(options, base)
        if min_probability or top:
            predictor = MostProbable(predictor, min_probability, top)
        run = stage.run_record(lines, predictor, base, generation.seed, name=name, tags=tags(tag))
        if lines is None:
            streams.write(stage.infer_as_read(reading, predictor, run, window))
        elif not distributed.is_main():
            kept = distributed.broadcast(0) if resume else 0
            deque(stage.infer(lines, predictor, run, kept), maxlen=0)  # the main process writes
        elif resume:
            with stream.resume_output(resume) as (file, done):
                kept = distributed.broadcast(stage.whole_windows(lines, run, done))
                file.seek(sum(len(line.text.encode()) + 1 for line in done[:kept]))
                stream.write(stage.infer(lines, predictor, run, kept), file)
            streams.finish()
        else:
            streams.write(stage.infer(lines, predictor, run))


def refuse_without_effect(given: Given, baseline: str, remote: bool, student: str) -> None:
    """UsageError where an option is about another kind of predictor than the one that is asked."""
    if baseline:
        given.refuse(f"{OF_STUDENTS} {PROMPTED} backend url model {HARDWARE}", "--baseline")
    elif remote:
        given.refuse(HARDWARE if config_folder(student, None) else f"student {HARDWARE}", "--backend endpoint")
    if not remote:
        given.refuse(f"{OF_SERVERS} rpm tpm prices", "--baseline" if baseline else "--backend local")
