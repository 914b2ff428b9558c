"""TrainingConfig speed beside TRL's SFTTrainer: the same student, examples, LoRA settings and steps, in turn.

    python tests/bench/training.py [STEPS]

Prints seconds and tokens a second of both, and their ratio (goal: 1.5 or more). Examples are the sample
sessions in the format `list`, the loss falls on the answer, batches are of 8. Loading is not counted.
"""

import sys
import tempfile
import time
from pathlib import Path

import datasets
from rows import Row, conclude
from trl import SFTConfig, SFTTrainer

from kdb.io import stream
from kdb.prompts.answers.list import ListFormat
from kdb.prompts.messages import Query, messages, truth_text
from kdb.student import adapter, weights
from kdb.student.config import LoraConfig, TrainingConfig
from kdb.student.examples import text_example
from kdb.student.model import load
from kdb.student.trainer import Trainer

BATCH = 8
SAMPLES = Path(__file__).parents[2] / "samples" / "sessions.jsonl"
ANSWER = ListFormat(intents=True)


def conversations() -> list[tuple[list[dict[str, str]], str]]:
    """Prompt and answer of each sample session."""
    sessions = [line.record for line in stream.read([SAMPLES], ("session",))]
    return [
        (messages(ANSWER, Query(session)), truth_text(ANSWER, session.items, session.truth)) for session in sessions
    ]


def ours(steps: int) -> tuple[float, int]:
    """Seconds and tokens of kdb's loop."""
    student = load(weights.STUDENT, precision="fp32")
    adapter.attach(student, LoraConfig(depth=1.0), seed=0)
    examples = [text_example(student.tokenizer, turns, answer) for turns, answer in conversations()]
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(student, TrainingConfig(per_device_train_batch_size=BATCH, max_steps=steps), Path(folder))
        began = time.perf_counter()
        trainer.run(lambda epoch: examples, None)
        return time.perf_counter() - began, trainer.state.tokens


def trl(steps: int) -> tuple[float, int]:
    """Seconds and tokens of SFTTrainer, with the adapter that kdb puts on."""
    student = load(weights.STUDENT, precision="fp32")
    adapter.attach(student, LoraConfig(depth=1.0), seed=0)
    rows = [
        {"prompt": turns, "completion": [{"role": "assistant", "content": answer}]}
        for turns, answer in conversations()
    ]
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            output_dir=folder,
            per_device_train_batch_size=BATCH,
            max_steps=steps,
            learning_rate=TrainingConfig().learning_rate,
            completion_only_loss=True,
            train_sampling_strategy="group_by_length",
            bf16=False,
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
        return seconds, int(trainer.state.num_input_tokens_seen)


def main() -> None:
    """Run both and print the ratio."""
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    speeds = []
    for name, run in (("kdb", ours), ("TRL", trl)):
        seconds, tokens = run(steps)
        speeds.append(tokens / seconds)
        print(f"{name}: {steps} steps, {tokens} tokens, {seconds:.1f} s, {tokens / seconds:.0f} tokens/s")
    figures = {"kdb_tokens_a_s": speeds[0], "TRL_tokens_a_s": speeds[1]}
    conclude(Row(f"{steps} steps of training", "TRL SFTTrainer", speeds[0] / speeds[1], 1.5, figures))


if __name__ == "__main__":
    main()
