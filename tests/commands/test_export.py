"""Export: a merged model answers as the adapter does, other programs load it, and a wrong merge is refused."""

import shutil
from pathlib import Path

import msgspec
import pytest
from support.command_line import run_kdb

from kdb.errors import KdbError
from kdb.prompts.messages import Query
from kdb.records import Session
from kdb.stages import export
from kdb.student import adapter as adapters
from kdb.student import config as configs
from kdb.student.methods.build import build_method
from kdb.student.model import Student, answer_logits, load
from kdb.student.session_loss import session_losses

pytestmark = pytest.mark.usefixtures("tiny_titles")

TRAIN = (
    "--set",
    "per_device_train_batch_size=4",
    "--set",
    "r=4",
    "--learning-rate",
    "0.02",
    "--set",
    "precision=fp32",
    "--set",
    "depth=1",
)
ANSWERS = {
    "pairs": ("--max-steps", "12", "--no-intents"),
    "pair-prompts": ("--answer", "pair-prompts", "--max-steps", "12", "--no-intents"),
    "list": ("--answer", "list", "--no-intents", "--max-steps", "30"),
}


@pytest.fixture(scope="module")
def sessions(samples: Path) -> list[Session]:
    return [msgspec.json.decode(line, type=Session) for line in (samples / "sessions.jsonl").open("rb")][:24]


@pytest.fixture(scope="module")
def merged(samples: Path, tiny_student: Path, tmp_path_factory: pytest.TempPathFactory):
    """For each answer format an adapter, the model merged with it, and the `run` record of that."""
    folder = tmp_path_factory.mktemp("export")
    lines = (samples / "sessions.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "kb.jsonl").write_bytes(b"".join(line for line in lines if b'"split":"test"' not in line))
    (folder / "some.jsonl").write_bytes(b"".join(lines[:12]))
    made = {}
    for name, options in ANSWERS.items():
        adapter, model = folder / name, folder / f"{name}-merged"
        trained = run_kdb("train", folder / "kb.jsonl", "--student", tiny_student, "-o", adapter, *TRAIN, *options)
        assert trained.code == 0, trained.stderr
        done = run_kdb("export", "--adapter", adapter, "-o", model, "--check", folder / "some.jsonl")
        assert done.code == 0, done.stderr
        made[name] = (adapter, model, done)
    return made


def said(student: Student, taught: Path, sessions: list[Session], batch: int) -> list[list[tuple[str, ...]]]:
    method = build_method(student, configs.read(taught))
    method.load(taught)
    found = method.predict([[Query(session)] for session in sessions], batch)
    return [[tuple(bundle.items) for bundle in one.bundles] for one in found]


@pytest.mark.parametrize("answer", ANSWERS)
def test_adapter_and_merged_model_answer_alike_in_any_batch(merged, tiny_student, sessions, answer):
    adapter, model, _ = merged[answer]
    with_adapter = load(str(tiny_student), adapter, "fp32")
    alone = load(str(model), None, "fp32")
    wanted = said(with_adapter, adapter, sessions, 16)
    assert said(with_adapter, adapter, sessions, 1) == wanted
    assert said(alone, model / "kdb", sessions, 1) == said(alone, model / "kdb", sessions, 16) == wanted
    assert len({str(bundles) for bundles in wanted}) > 5  # not one answer to all
    if answer == "list":  # there what needs no student may decide alone
        assert said(load(str(tiny_student), None, "fp32"), adapter, sessions[:8], 8) != wanted[:8]


@pytest.mark.parametrize("answer", ["pair-prompts", "list"])
def test_the_forward_pass_of_training_is_the_same(merged, tiny_student, sessions, answer):
    import torch

    adapter, model, _ = merged[answer]
    with_adapter, alone = load(str(tiny_student), adapter, "fp32"), load(str(model), None, "fp32")
    method = build_method(with_adapter, configs.read(adapter))
    examples = [example for session in sessions for example in method.examples(Query(session))][:16]
    with torch.inference_mode():
        wanted, found = (answer_logits(own, examples) for own in (with_adapter, alone))
        base = answer_logits(load(str(tiny_student), None, "fp32"), examples)
    assert (found - wanted).abs().max() < 1e-3 < 0.1 < (base - wanted).abs().max()


def test_the_record_says_how_far_they_are_apart(merged):
    _, _, done = merged["list"]
    (record,) = done.records
    assert (record["kind"], record["command"]) == ("run", "export")
    assert record["measured"]["sessions"] == 12
    assert record["measured"]["logit_difference"] < 0.5
    assert "of 12 predictions differ from the adapter's, logits by at most" in done.stderr


def test_kdb_infer_asks_and_decides_as_with_the_adapter(merged, samples):
    lines = b"".join((samples / "sessions.jsonl").read_bytes().splitlines(keepends=True)[-12:])
    for name, (adapter, model, _) in merged.items():
        common = ["--set", "precision=fp32"]
        run, *wanted, _ = run_kdb("infer", *common, "--adapter", adapter, stdin=lines).records
        own, *found, _ = run_kdb("infer", *common, "--student", model, stdin=lines).records
        assert own["settings"]["answer"] == run["settings"]["answer"] == name
        assert own["settings"]["trained"] == run["settings"]["trained"]
        assert own["settings"]["adapter"]
        said, merged_said = ([[b["items"] for b in p["bundles"]] for p in own] for own in (wanted, found))
        assert merged_said == said


def test_sessions_are_as_hard_for_the_merged_model(merged, sessions):
    adapter, model, _ = merged["list"]
    wanted = session_losses(sessions[:6], "", adapter)
    found = session_losses(sessions[:6], str(model), None)
    assert found.keys() == wanted.keys()
    assert list(found.values()) == pytest.approx(list(wanted.values()), rel=0.1)


def test_other_programs_find_a_plain_model(merged):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    _, model, _ = merged["pairs"]
    assert [file.name for file in model.glob("*.safetensors")] == ["model.safetensors"]
    own = AutoModelForCausalLM.from_pretrained(model)
    assert own.dtype == torch.float32
    turns = [{"role": "user", "content": "Which belong together?"}]
    prompt = AutoTokenizer.from_pretrained(model).apply_chat_template(turns, return_tensors="pt", return_dict=True)
    assert own.generate(**prompt, max_new_tokens=3).shape[1] > prompt["input_ids"].shape[1]


def test_weights_in_bf16_are_half_as_large(merged, tmp_path):
    adapter, model, _ = merged["list"]
    done = run_kdb("export", "--adapter", adapter, "-o", tmp_path / "model", "--precision", "bf16")
    assert (done.code, "(bf16)" in done.stderr) == (0, True)
    size = (model / "model.safetensors").stat().st_size
    assert (tmp_path / "model" / "model.safetensors").stat().st_size < 0.55 * size


def test_a_wrong_merge_is_refused(merged, tmp_path, monkeypatch):
    def forget(student: Student) -> None:
        student.model = student.model.unload()

    monkeypatch.setattr(adapters, "merge", forget)
    with pytest.raises(KdbError, match="the merged model is another one"):
        export.export([], export.ExportOptions(merged["list"][0], tmp_path / "model"))
    assert not (tmp_path / "model").exists()


def test_errors_are_one_line(merged, tmp_path):
    adapter, model, _ = merged["list"]
    (tmp_path / "empty.jsonl").write_text('{"kind": "note"}\n')
    shutil.copytree(adapter, tmp_path / "broken")
    (tmp_path / "broken" / "kdb.json").write_text('{"v": "one"}')
    shutil.copytree(adapter, tmp_path / "other")
    config = configs.read(adapter)
    config.prompt_hash = "of another kdb"
    configs.save(config, tmp_path / "other")
    shutil.copytree(adapter, tmp_path / "routed")
    config = configs.read(adapter)
    config.experts = {"one": "0", "two": "1"}
    configs.save(config, tmp_path / "routed")
    new = tmp_path / "new"
    for options, code, words in [
        (["--adapter", tmp_path / "none", "-o", new], 1, "no kdb.json, so not an adapter of kdb"),
        (["--adapter", model, "-o", new], 1, "pass it as --student"),
        (["--adapter", tmp_path / "broken", "-o", new], 1, "broken/kdb.json"),
        (["--adapter", tmp_path / "other", "-o", new], 1, "trained with other prompts"),
        (["--adapter", tmp_path / "routed", "-o", new], 1, "export one of them"),
        (["--adapter", adapter, "-o", model], 2, "pass --force"),
        (["--adapter", adapter, "-o", new, "--check", tmp_path / "empty.jsonl"], 1, "no session in what --check"),
    ]:
        done = run_kdb("export", *options)
        assert (done.code, done.out, len(done.stderr.splitlines())) == (code, b"", 1)
        assert words in done.stderr
    assert not new.exists()
    assert run_kdb("export", "--adapter", adapter, "-o", model, "--force").code == 0
