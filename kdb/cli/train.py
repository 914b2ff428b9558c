"""`kdb train`: training sessions and knowledge in, a LoRA adapter and a `run` record out."""

from pathlib import Path
from typing import Annotated

from typer import Option

from kdb import console
from kdb.cli.options import Given, command
from kdb.cli.streams import RecordOptions
from kdb.cli.student import DeviceOptions, Tag, tags
from kdb.errors import UsageError
from kdb.io import stream
from kdb.records import Run
from kdb.student.config import ContextConfig, LoraConfig, MethodConfig, StudentConfig, TrainingConfig

EXPERT_SETTINGS = " ".join(
    name for kind in (MethodConfig, ContextConfig, LoraConfig) for name in kind.__struct_fields__
)
"""What adapters bring with them to a router over them."""

UNSAID = " ".join(
    name
    for kind in (LoraConfig, TrainingConfig)
    for name in kind.__struct_fields__
    if name not in ("seed", "precision")
)
"""What examples do not show: how they are learnt."""


@command
def train(
    streams: RecordOptions,
    config: StudentConfig,
    hardware: DeviceOptions,
    given: Given,
    output: Annotated[
        Path | None, Option("-o", "--output", help="The folder for the adapter.", show_default=False)
    ] = None,
    emit: Annotated[
        Path | None, Option(help="Train nothing: write the examples here as chat messages.", show_default=False)
    ] = None,
    route: Annotated[
        str, Option(help="Train a router over these adapters of one prompt, by commas; they stay as they are.")
    ] = "",
    force: Annotated[bool, Option("--force", help="Overwrite the folder or file.")] = False,
    resume: Annotated[bool, Option("--resume", help="Go on where a killed run stopped.")] = False,
    tag: Tag = None,
) -> None:
    """Train a LoRA adapter on the training sessions of the input; prints a `run` record.

    All input is read before training begins. The answer format pairs (the default) trains an embedder and the
    student in folds over the training sessions: each has a weight in the answer only if it helps on sessions that
    it was not trained on. With other formats, sessions with split `validation` choose the best epoch; without
    any, a tenth of the training sessions is held out for that. Work lies in OUTPUT.kdb-part
    until it is complete.

    A session that nobody annotated is learnt from if it has a label of kdb extract label (--min-confidence), and
    counts as much as its answers agree.

    Patterns and rules that bear on a session stand in its prompt (--knowledge), thoughts in demonstrations
    (--demos), corrections too with --set corrections=true; pairs reads titles only: use another --answer for
    that. With --thoughts auxiliary thoughts are learnt as a second task, of pairs by the adapter that writes
    intents.

    With --route only the weights of the adapters are learnt, for each prompt anew.

    Under torchrun or accelerate launch, each step takes a batch of every process, and the first process writes.

    Example: kdb train kb.jsonl --student smollm2-135m -o adapter/
    """
    from kdb.student import distributed

    console.configure(streams.quiet, distributed.rank())
    if distributed.world_size() > 1:
        if emit:
            raise UsageError("--emit trains nothing", "run it in one process")
        streams.refuse_shared_stdin()
    if emit:
        given.refuse(f"output route resume device {UNSAID}", "--emit")
    from kdb.stages import emit as emitting
    from kdb.stages import train as training
    from kdb.student.experts import routed_config

    experts = [Path(name.strip()) for name in route.split(",") if name.strip()]
    if experts:
        given.refuse(f"student load_in_4bit {EXPERT_SETTINGS}", "--route")
        config = routed_config(config, experts)
    record: Run | None
    if emit:
        with stream.output(emit, force) as examples:
            record = emitting.emit(streams.read("session", "knowledge"), config, examples, tags(tag))
    elif output:
        options = training.TrainOptions(output, experts, hardware.device, resume, force, tags(tag))
        record = training.train(streams.read("session", "knowledge"), config, options)
    else:
        raise UsageError("train needs a place for its work", "pass --output FOLDER, or --emit FILE")
    with stream.output(None) as file:
        stream.write([record] if record else [], file)
    streams.finish()
