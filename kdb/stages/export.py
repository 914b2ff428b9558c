"""Merge an adapter into its student: a model folder that any program loads, checked against the adapter."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kdb import console
from kdb.errors import KdbError
from kdb.io import provenance
from kdb.io.files import atomic_folder
from kdb.prompts.messages import Query
from kdb.records import Bundle, Item, Run, Session
from kdb.student import adapter, encoder_export, export_probe, gguf_file, intents, seen_sessions
from kdb.student import config as configs
from kdb.student.config import StudentConfig
from kdb.student.examples import length_grouped_batches
from kdb.student.methods.build import answer_class, build_method, read_config
from kdb.student.methods.method import AnswerMethod
from kdb.student.methods.pairs import PairMethod
from kdb.student.methods.prompted_pairs import PromptedPairMethod
from kdb.student.model import Student, answer_logits, base_hash, load
from kdb.student.pairwise.session_encoder import SessionEncoder
from kdb.student.weights import hub_name

BATCH = 16
TOLERANCE = {"fp32": 0.01, "f32": 0.01, "f16": 2.0, "bf16": 2.0, "q8_0": 2.0}
"""How far the logits of answers may differ. bf16 has 8 bits: merged weights are rounded anew, by up to 1/512."""
EXACT = ("fp32", "f32")

CARD = """---
base_model: {base}
library_name: transformers
tags: [bundle-generation, kdb]
---
# A student of product bundling

`{base}` with a LoRA adapter of `kdb train`, merged by `kdb export`; weights in {precision}. It answers in the
format `{answer}`. `kdb infer --student` reads the folder `kdb` in here; no other program needs that.
"""


@dataclass
class ExportOptions:
    """What is merged and where it goes; `precision` is that of the weights in the folder.

    `form` is transformers (the whole model), encoder (the blocks that are read) or gguf, whose weights are of the
    type `outtype`.
    """

    adapter: Path
    folder: Path
    form: str = "transformers"
    precision: str = "fp32"
    outtype: str = "f16"
    device: str = ""
    force: bool = False

    @property
    def written(self) -> str:
        """The type of the weights in the end."""
        return self.outtype if self.form == "gguf" else self.precision


@dataclass
class ModelOutputs:
    """What a student decided, and the logits of the tokens of given answers."""

    bundles: list[list[Bundle]]
    logits: list[float]
    precision: str
    parameters: int
    context: int


@dataclass
class Difference:
    """How many of so many predictions differ between two students, and how far their logits are apart."""

    predictions: int
    sessions: int
    logits: float
    precision: str

    def __str__(self) -> str:
        """In words."""
        return (
            f"{self.predictions} of {self.sessions} predictions differ from the adapter's, "
            f"logits by at most {self.logits:.2g} ({self.precision})"
        )


def export(sessions: Sequence[Session], options: ExportOptions) -> Run:
    """Leave the merged model in `options.folder`; returns the `run` record.

    Twice KdbError where it answers otherwise than the adapter, by more than rounding explains: once merged, in fp32
    on a few sessions of our own, and before the folder gets its name, loaded as by `kdb infer`, on `sessions`.
    """
    config = read_config(options.adapter)
    if config.experts:
        raise KdbError(f"{options.adapter}: a router weighs adapters anew for each prompt", "export one of them")
    if config.load_in_4bit:
        console.warn("the adapter was trained on weights in 4 bits, and is merged with all bits")
        config.load_in_4bit = False
    if options.form == "gguf":
        gguf_file.converter()  # before the work
    own = _own_sessions()
    sessions = sessions or own
    with atomic_folder(options.folder, options.force, marker="config.json") as part:
        # Merged in fp32 in any case: in bf16 much of what the adapter adds would round away.
        student = load(config.student, options.adapter, "fp32", "cpu")
        before = _outputs(student, config, options.adapter, own)
        adapter.merge(student)
        _compare(before, _outputs(student, config, options.adapter, own, before.bundles), "fp32")
        if is_encoder(config, options):
            encoder_export.cut(student.model, config)
        _write(student, config, options, part)
        del student
        gc.collect()  # two models at once may be too many
        student = load(config.student, options.adapter, device=options.device)
        before = _outputs(student, config, options.adapter, sessions)
        del student
        gc.collect()
        student = load(str(part), device=options.device)
        after = _outputs(student, config, part / configs.METADATA_FOLDER, sessions, before.bundles)
        difference = _compare(before, after, options.precision)
        if options.form == "gguf":
            del student
            gguf_file.convert(part, options.outtype, after.context, answer_class(config.method).is_text)
            student = gguf_file.load(part)
            after = _outputs(student, config, part / configs.METADATA_FOLDER, sessions, before.bundles)
            difference = _compare(before, after, options.outtype)
    console.say(str(difference))
    settings = {**configs.settings(config), "format": options.form, "written": options.written}
    inputs = {
        "adapter": adapter.identity(options.adapter),
        "sessions": provenance.content_hash([[item.title for item in s.items] for s in sessions]),
    }
    return Run(
        id=provenance.content_hash([settings, inputs]),
        command="export",
        settings=settings,
        versions=provenance.versions(),
        inputs=inputs,
        measured={
            "sessions": len(sessions),
            "precision": after.precision,
            "different": difference.predictions,
            "logit_difference": float(f"{difference.logits:.3g}"),
            "parameters": after.parameters,
            "bytes": sum(file.stat().st_size for file in options.folder.glob("model*")),
        },
    )


def is_encoder(config: StudentConfig, options: ExportOptions) -> bool:
    """Whether the blocks that are read are written alone: a GGUF file of such a student serves nothing else."""
    served_as = answer_class(config.method).served_as
    return options.form == "encoder" or (options.form == "gguf" and served_as == "states")


def _own_sessions() -> list[Session]:
    """Sessions of two to five products: what they are does not matter, only that two models read the same."""
    items = [Item(str(n), title) for n, title in enumerate(export_probe.TITLES)]
    return [Session(id=str(n), domain="check", items=items[n - 2 : 2 * n - 2]) for n in range(2, 6)]


def _write(student: Student, config: StudentConfig, options: ExportOptions, folder: Path) -> None:
    """The merged model with its tokenizer, and what only kdb needs in a folder of its own."""
    import torch

    if options.precision == "bf16":
        student.model.to(torch.bfloat16)
    student.model.save_pretrained(folder)
    student.tokenizer.save_pretrained(folder)
    card = {"base": hub_name(config.student), "precision": options.written, "answer": config.method.answer}
    (folder / "README.md").write_text(CARD.format(**card), encoding="utf-8")
    metadata = folder / configs.METADATA_FOLDER
    metadata.mkdir()
    configs.save(msgspec.structs.replace(config, base=base_hash(str(folder))), metadata)
    method = _method(student, config, options.adapter)
    method.save(metadata)
    if is_encoder(config, options):
        assert isinstance(method, PairMethod)
        for learner in method.learners:
            if isinstance(learner, SessionEncoder):
                export_probe.write(learner.log_odds([export_probe.TITLES])[0], metadata)
    if isinstance(method, PromptedPairMethod):
        export_probe.write(method.read([Query(export_probe.SESSION)], BATCH)[0], metadata)
    if not is_encoder(config, options) and (options.adapter / intents.FOLDER).is_dir():
        adapter.write_difference(options.adapter / intents.FOLDER, options.adapter, metadata / intents.FOLDER)
    for name in (adapter.RUN, seen_sessions.FILE):
        if (options.adapter / name).exists():
            shutil.copyfile(options.adapter / name, metadata / name)


def _method(student: Student, config: StudentConfig, folder: Path) -> AnswerMethod:
    """The method, as a folder has it, with prompts as long as the student can read."""
    context = msgspec.structs.replace(config.context, max_prompt_tokens=student.context_length)
    method = build_method(student, msgspec.structs.replace(config, context=context))
    method.load(folder)
    return method


def _outputs(
    student: Student,
    config: StudentConfig,
    folder: Path,
    sessions: Sequence[Session],
    answers: Sequence[list[Bundle]] | None = None,
) -> ModelOutputs:
    """What the student predicts, and the logits of `answers`, or else of its own, as in training."""
    import torch

    method = _method(student, config, folder)
    predictions = method.predict([[Query(session)] for session in sessions], BATCH)
    bundles = [found.bundles for found in predictions]
    precision = "bf16" if student.model.dtype == torch.bfloat16 else "fp32"
    if not method.has_tokens:
        odds = [float(value) for found in predictions for value in found.raw.split()]
        return ModelOutputs(bundles, odds, precision, student.parameters, student.context_length)
    answered = [
        msgspec.structs.replace(session, bundles=own)
        for session, own in zip(sessions, answers or bundles, strict=True)
    ]
    examples = [example for session in answered for example in method.examples(Query(session))]
    logits: list[float] = []
    with torch.inference_mode():
        for indices in length_grouped_batches([len(example) for example in examples], BATCH):
            part = [examples[i] for i in indices]
            labels = [label for example in part for label in example.labels]
            logits += answer_logits(student, part)[range(len(labels)), labels].tolist()
    return ModelOutputs(bundles, logits, precision, student.parameters, student.context_length)


def _compare(before: ModelOutputs, after: ModelOutputs, written: str) -> Difference:
    """How far two students are apart; KdbError where that is more than rounding.

    In fp32 their predictions are the same; in bf16 two bundlings of like worth may change places.
    """
    precision = written if written not in EXACT else after.precision
    logits = max((abs(a - b) for a, b in zip(before.logits, after.logits, strict=True)), default=0.0)
    predictions = sum(_named(a) != _named(b) for a, b in zip(before.bundles, after.bundles, strict=True))
    found = Difference(predictions, len(before.bundles), logits, precision)
    if not logits <= TOLERANCE[precision] or (predictions and precision in EXACT):
        raise KdbError(f"the merged model is another one: {found}", "keep to the adapter")
    return found


def _named(bundles: list[Bundle]) -> list[tuple[list[str], str]]:
    """What a prediction says, without its probabilities: their last digits are not those of the adapter's."""
    return [(bundle.items, bundle.intent) for bundle in bundles]
