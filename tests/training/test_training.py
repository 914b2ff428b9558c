"""Training: the loss falls on answers only, a killed run ends as an undisturbed one, the folder is complete."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdb.prompts.answers.list import ListFormat
from kdb.prompts.messages import Query, messages
from kdb.records import Item, Session
from kdb.student.examples import Example, length_grouped_batches, text_example
from kdb.student.trainer import Trainer

STEPS = ("--answer", "list", "--no-intents", "--max-steps", "12", "--set", "per_device_train_batch_size=4")
STEPS += ("--set", "r=4", "--learning-rate", "0.01")


@pytest.fixture(scope="module")
def sessions(samples, tmp_path_factory):
    """Twenty training and four validation sessions of the samples."""
    lines = (samples / "sessions.jsonl").read_bytes().splitlines(keepends=True)
    by_split = {"train": [], "validation": [], "test": []}
    for line in lines:
        by_split[msgspec.json.decode(line)["split"]].append(line)
    file = tmp_path_factory.mktemp("sessions") / "kb.jsonl"
    file.write_bytes(b"".join(by_split["train"][:20] + by_split["validation"][:4]))
    return file


@pytest.fixture(scope="module")
def adapter(kdb, sessions, tiny_student, tmp_path_factory):
    folder = tmp_path_factory.mktemp("train") / "adapter"
    done = kdb("train", sessions, "--student", tiny_student, "-o", folder, *STEPS)
    assert done.code == 0, done.stderr
    return folder, done


def test_the_run_record_and_the_folder(adapter):
    folder, done = adapter
    (record,) = done.records
    assert record["kind"] == "run"
    assert record["measured"]["steps"] == 12
    assert record["measured"]["losses"][-1] < record["measured"]["losses"][0]
    assert len(record["measured"]["validation"]) == 3
    assert sorted(p.name for p in folder.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "kdb.json",
        "run.json",
        "sessions.json",
    ]
    config = json.loads((folder / "kdb.json").read_text())
    assert (config["v"], config["method"]["answer"]) == (2, "list")
    assert all(len(config[name]) == 16 for name in ("prompt_hash", "base"))
    assert record["settings"]["max_prompt_tokens"] == 2048
    assert all(record["measured"][name] for name in ("processor", "threads", "device"))


def test_peft_loads_the_folder(adapter, tiny_student):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    folder, _ = adapter
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tiny_student), folder)
    weights = {n: p for n, p in model.named_parameters() if "lora_B" in n}
    assert weights
    assert all(p.dtype == torch.float32 and p.abs().sum() > 0 for p in weights.values())


def test_an_adapted_student_computes_as_in_training(adapter, tiny_student):
    """In bf16 too, only the weights are rounded: rotary frequencies are not."""
    import torch

    from kdb.student.model import load

    folder, _ = adapter
    plain, adapted = load(str(tiny_student), precision="bf16"), load(str(tiny_student), folder, precision="bf16")
    own, wanted = (list(student.model.buffers()) for student in (adapted, plain))
    assert [b.dtype for b in wanted] == [torch.float32] * len(wanted) != []
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(own, wanted, strict=True))
    assert {p.dtype for p in adapted.model.parameters()} == {torch.bfloat16}


def test_four_bits_are_refused_where_they_cannot_be(kdb, sessions, tiny_student, tmp_path):
    from kdb.student.device import supports_4bit

    if supports_4bit(""):
        pytest.skip("there is a CUDA device, and bitsandbytes")
    done = kdb(
        "train", sessions, "--student", tiny_student, "-o", tmp_path / "out", *STEPS, "--set", "load_in_4bit=true"
    )
    assert done.code == 2
    assert done.stderr.startswith("kdb: 4 bits need bitsandbytes and a CUDA device")
    assert done.stderr.count("\n") == 1


def test_an_adapter_of_four_bits_is_asked_with_all_bits_here(kdb, adapter, sessions, tmp_path):
    from kdb.student.device import supports_4bit

    if supports_4bit(""):
        pytest.skip("there is a CUDA device, and bitsandbytes")
    folder = tmp_path / "adapter"
    shutil.copytree(adapter[0], folder)
    config = json.loads((folder / "kdb.json").read_text())
    (folder / "kdb.json").write_text(json.dumps({**config, "load_in_4bit": True}))
    done = kdb("infer", sessions, "--adapter", folder)
    assert done.code == 0, done.stderr
    assert "trained on weights in 4 bits" in done.stderr
    assert done.records[0]["settings"]["load_in_4bit"] is False


def test_qlora_on_a_gpu(kdb, sessions, tiny_student, tmp_path):
    from kdb.student.device import supports_4bit

    if not supports_4bit(""):
        pytest.skip("needs a CUDA device, and bitsandbytes")
    done = kdb(
        "train", sessions, "--student", tiny_student, "-o", tmp_path / "out", *STEPS, "--set", "load_in_4bit=true"
    )
    assert done.code == 0, done.stderr
    losses = done.records[0]["measured"]["losses"]
    assert losses[-1] < losses[0]
    done = kdb("infer", sessions, "--adapter", tmp_path / "out")
    assert done.code == 0, done.stderr
    assert done.records[0]["settings"]["load_in_4bit"] is True


def test_the_same_seed_gives_the_same_bytes(adapter, kdb, sessions, tiny_student, tmp_path):
    folder, _ = adapter
    done = kdb("train", sessions, "--student", tiny_student, "-o", tmp_path / "again", *STEPS)
    assert done.code == 0, done.stderr
    name = "adapter_model.safetensors"
    assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
    layers = json.loads((folder / "adapter_config.json").read_text())["target_modules"]
    assert layers == sorted(layers) and len(layers) == 7  # PEFT has a set, in another order in each process


def test_a_killed_run_resumes_to_the_same_bytes(adapter, sessions, tiny_student, tmp_path, kdb):
    """SIGKILL after the first checkpoint, again while resuming, then to the end."""
    folder, _ = adapter
    argv = [sessions, "--student", tiny_student, "-o", tmp_path / "out", *STEPS, "--resume"]
    checkpoint = tmp_path / "out.kdb-part" / "checkpoint.pt"
    for _ in range(2):
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        process = subprocess.Popen([sys.executable, "-m", "kdb", "train", *map(str, argv)])
        while process.poll() is None:
            if checkpoint.exists() and checkpoint.stat().st_mtime_ns > before:
                process.send_signal(signal.SIGKILL)
                break
            time.sleep(0.01)
        process.wait()
    assert not (tmp_path / "out").exists()
    done = kdb("train", *argv)
    assert done.code == 0, done.stderr
    assert "going on from step" in done.stderr
    name = "adapter_model.safetensors"
    assert (tmp_path / "out" / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize("settings", ['{"config": {}}', '{"config":'])
def test_resume_refuses_other_settings(settings, sessions, tiny_student, tmp_path, kdb):
    part = tmp_path / "out.kdb-part"
    part.mkdir()
    (part / "settings.json").write_text(settings)
    done = kdb("train", sessions, "--student", tiny_student, "-o", tmp_path / "out", *STEPS, "--resume")
    assert done.code == 2
    assert "other settings" in done.stderr or "cannot be read" in done.stderr
    assert (part / "settings.json").read_text() == settings


def test_a_test_session_is_refused(samples, tiny_student, tmp_path, kdb):
    done = kdb("train", samples / "sessions.jsonl", "--student", tiny_student, "-o", tmp_path / "out", *STEPS)
    assert done.code == 1
    assert "test split" in done.stderr
    assert "sessions.jsonl:" in done.stderr


def test_an_unknown_student_is_one_line(sessions, tmp_path, kdb):
    done = kdb("train", sessions, "--student", "no/such-model", "-o", tmp_path / "out", *STEPS)
    assert done.code == 1
    assert len(done.stderr.strip().splitlines()) <= 2
    assert "no/such-model" in done.stderr


def test_logits_only_at_answers_are_the_models_own(tiny_student):
    """Left padding and the selection of positions change no logit."""
    import torch

    from kdb.student.model import answer_logits, load

    student = load(str(tiny_student), precision="fp32")
    rng = random.Random(0)
    examples = []
    for length in (5, 9, 17):
        ids = [rng.randrange(100, 2000) for _ in range(length)]
        examples.append(Example(ids, [length - 3, length - 1], [1, 2]))
    with torch.inference_mode():
        found = answer_logits(student, examples)
        wanted = torch.cat(
            [student.model(torch.tensor([e.input_ids])).logits[0, e.answer_positions] for e in examples]
        )
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_the_loss_falls_on_the_answer_only(tiny_student):
    from kdb.student.model import load

    tokenizer = load(str(tiny_student)).tokenizer
    session = Session(id="1", domain="d", items=[Item("a", "cup"), Item("b", "saucer")])
    turns = messages(ListFormat(), Query(session))
    example = text_example(tokenizer, turns, "[1, 2]")
    assert tokenizer.decode(example.labels) == "[1, 2]" + tokenizer.eos_token
    assert example.input_ids[example.answer_positions[1] :] == example.labels[:-1]
    assert len(example.answer_positions) == len(example.labels)


@given(
    st.lists(st.integers(1, 300), max_size=400),
    st.integers(1, 16),
    st.integers() | st.none(),
    st.integers(0, 2000),
)
def test_batches_hold_every_example_once(lengths, size, seed, tokens):
    rng = None if seed is None else random.Random(seed)
    found = length_grouped_batches(lengths, size, rng, tokens)
    assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
    assert all(1 <= len(batch) <= size for batch in found)
    padded = [len(batch) * max(lengths[i] for i in batch) for batch in found if len(batch) > 1]
    assert not tokens or max(padded, default=0) <= tokens


@pytest.mark.parametrize("name", ["linear", "cosine"])
@pytest.mark.parametrize(("total", "warmup"), [(1, 0.0), (7, 0.5), (200, 0.05), (500, 0.0)])
def test_the_learning_rate_rises_then_falls(student, tmp_path, name, total, warmup):
    from kdb.student import adapter as adapters
    from kdb.student.config import LoraConfig, TrainingConfig
    from kdb.student.model import load

    own = load(student.name, precision="fp32")
    adapters.attach(own, LoraConfig(r=1), 0)
    config = TrainingConfig(lr_scheduler_type=name, warmup_ratio=warmup)
    scale = Trainer(own, config, tmp_path)._schedule(total)
    rates = [scale(step) for step in range(1, total + 1)]
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert max(rates) == 1
    assert min(rates) > 0


@pytest.mark.parametrize("tokens", [1, 80])
def test_a_batch_in_parts_is_learnt_as_the_whole(student, tmp_path, monkeypatch, tokens):
    import torch

    from kdb.student import adapter as adapters
    from kdb.student import trainer
    from kdb.student.config import LoraConfig, TrainingConfig
    from kdb.student.model import load

    answers = ["a tent", "tea", "one two three four five six seven eight nine", "x " * 30]

    def learnt(at_once):
        monkeypatch.setattr(trainer, "TOKENS_AT_ONCE", at_once)
        own = load(student.name, precision="fp32")
        adapters.attach(own, LoraConfig(r=2), 0)
        made = [text_example(own.tokenizer, [{"role": "user", "content": "What?"}], answer) for answer in answers]
        run = Trainer(own, TrainingConfig(per_device_train_batch_size=4, max_steps=3), tmp_path)
        losses = run.run(lambda _: made, None).losses
        return losses, {name: weight.clone() for name, weight in run.weights().items()}

    (losses, weights), (of_parts, weights_of_parts) = learnt(10**6), learnt(tokens)
    assert of_parts == pytest.approx(losses, rel=1e-5)
    torch.testing.assert_close(weights_of_parts, weights, atol=2e-5, rtol=1e-3)
