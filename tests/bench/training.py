"""Speed of training beside TRL's SFTTrainer: the same student, batches, LoRA settings and steps, in turn.

    python tests/bench/training.py [STEPS]

Prints tokens a second of both, and their ratio: in fp32 (goal: 1.5 or more), and as each of them trains in bf16,
where the processor does that natively (goal: 2 or more): kdb with bf16 weights and fp32 masters, TRL with its
`bf16`, which is autocast. What was learnt is compared too: the loss on the same examples after the last step, read
in fp32. Examples are the sample sessions in the format `list`, the loss falls on the answer. Both are given the
batches of 8 that kdb draws; optimizer and schedule of the learning rate are TRL's default and kdb's.
Loading is not counted. At the end the operators that kdb's time goes to.
"""

import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import datasets
import torch
from rows import Row, conclude
from trl import SFTConfig, SFTTrainer

from kdb.io import stream
from kdb.prompts.answers.list import ListFormat
from kdb.prompts.messages import Query, messages, truth_text
from kdb.student import adapter, weights
from kdb.student.config import LoraConfig, TrainingConfig
from kdb.student.device import supports_bf16
from kdb.student.examples import Example, length_grouped_batches, text_example
from kdb.student.model import Student, load
from kdb.student.trainer import Trainer, mean_loss

BATCH = 8
LOSS_GOAL = 0.99
"""The loss of TRL over kdb's: at least."""
SAMPLES = Path(__file__).parents[2] / "samples" / "sessions.jsonl"
ANSWER = ListFormat(intents=True)


def conversations() -> list[tuple[list[dict[str, str]], str]]:
    """Prompt and answer of each sample session."""
    sessions = [line.record for line in stream.read([SAMPLES], ("session",))]
    return [
        (messages(ANSWER, Query(session)), truth_text(ANSWER, session.items, session.truth)) for session in sessions
    ]


@dataclass
class Trained:
    """What one of the two did: tokens a second, and the loss a token on the examples after it."""

    speed: float
    loss: float


def new_student(precision: str) -> Student:
    """The packaged student with a new adapter on all blocks."""
    student = load(weights.STUDENT, precision=precision)
    adapter.attach(student, LoraConfig(depth=1.0), seed=0)
    return student


def examples_of(student: Student) -> list[Example]:
    return [text_example(student.tokenizer, turns, answer) for turns, answer in conversations()]


def batches(student: Student, steps: int) -> list[int]:
    """The examples of so many steps of kdb's first epoch, batch by batch, by number."""
    lengths = [len(example) for example in examples_of(student)]
    found = length_grouped_batches(lengths, BATCH, random.Random(f"{TrainingConfig().seed}:0"))[:steps]
    if len(found) < steps or {len(batch) for batch in found} != {BATCH}:
        raise SystemExit(f"the examples do not fill {steps} batches of {BATCH}")
    return [n for batch in found for n in batch]


def loss_after(trained: dict[str, torch.Tensor]) -> float:
    """The loss of a student in fp32 with these weights in its adapter."""
    student = new_student("fp32")
    own = adapter.trained(student)
    with torch.no_grad():
        for name, weight in own.items():
            weight.copy_(trained[name])
    student.model.eval()
    return mean_loss(student, examples_of(student), BATCH)


def ours(steps: int, precision: str) -> Trained:
    """kdb's loop."""
    student = new_student(precision)
    examples = examples_of(student)
    with tempfile.TemporaryDirectory() as folder:
        config = TrainingConfig(per_device_train_batch_size=BATCH, max_steps=steps)
        trainer = Trainer(student, config, Path(folder))
        began = time.perf_counter()
        trainer.run(lambda epoch: examples, None)
        seconds = time.perf_counter() - began
        return Trained(trainer.state.tokens / seconds, loss_after(trainer.master_weights))


def trl(steps: int, precision: str) -> Trained:
    """SFTTrainer, with the adapter and the batches of kdb; in bf16 by autocast, as Transformers trains."""
    student = new_student("fp32")
    taught = conversations()
    rows = [
        {"prompt": turns, "completion": [{"role": "assistant", "content": answer}]}
        for turns, answer in (taught[n] for n in batches(student, steps))
    ]
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            output_dir=folder,
            per_device_train_batch_size=BATCH,
            max_steps=steps,
            learning_rate=TrainingConfig().learning_rate,
            completion_only_loss=True,
            train_sampling_strategy="sequential",
            bf16=precision == "bf16",
            gradient_checkpointing=False,
            max_length=None,
            report_to=[],
            save_strategy="no",
            logging_steps=1,
            use_cpu=True,
            disable_tqdm=True,
            include_num_input_tokens_seen="non_padding",
        )
        trainer = SFTTrainer(
            student.model,
            args=config,
            train_dataset=datasets.Dataset.from_list(rows),
            processing_class=student.tokenizer,
        )
        began = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - began
    return Trained(int(trainer.state.num_input_tokens_seen) / seconds, loss_after(adapter.trained(student)))


def profile(steps: int, precision: str) -> None:
    """Print the operators that most of kdb's time goes to."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    with profiler(activities=[ProfilerActivity.CPU]) as found:
        ours(steps, precision)
    print(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=12, max_name_column_width=40))


def main() -> None:
    """Run both in each precision and print the ratios."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 6
    rows = []
    for precision, goal in (("fp32", 1.5), ("bf16", 2.0)):
        if precision == "bf16" and not supports_bf16("cpu"):
            print("not measured in bf16: this processor has no bf16 arithmetic")
            continue
        kdb, peer = ours(steps, precision), trl(steps, precision)
        what = f"{steps} steps of training in {precision}"
        speeds = {"kdb_tokens_a_s": kdb.speed, "TRL_tokens_a_s": peer.speed}
        losses = {"kdb_loss": kdb.loss, "TRL_loss": peer.loss}
        found = [
            Row(what, "TRL SFTTrainer", kdb.speed / peer.speed, goal, speeds),
            Row(f"the loss after {what}", "TRL SFTTrainer", peer.loss / kdb.loss, LOSS_GOAL, losses),
        ]
        print(*found, sep="\n")
        rows += found
    profile(3, "bf16" if supports_bf16("cpu") else "fp32")
    conclude(*rows)


if __name__ == "__main__":
    main()
