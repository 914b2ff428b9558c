"""A router over experts: it alone learns, it finds the better one, and inference needs nothing but its folder."""

import json
import shutil

import msgspec
import pytest

from kdb.io import stream
from kdb.predictors.build import build
from kdb.predictors.options import InferOptions
from kdb.retrieval.config import ContextConfig
from kdb.retrieval.knowledge_base import KnowledgeBase
from kdb.stages import infer, train
from kdb.student.config import LoraConfig, MethodConfig, StudentConfig, TrainingConfig
from kdb.student.experts import routed_config

ROUTER = (
    "--set",
    "per_device_train_batch_size=4",
    "--set",
    "precision=fp32",
    "--max-steps",
    "10",
    "--learning-rate",
    "0.05",
)


@pytest.fixture(scope="module")
def splits(samples, tmp_path_factory):
    """Twenty training and four validation sessions in `kb`, six others in `test`."""
    by_split: dict[str, list[bytes]] = {"train": [], "validation": [], "test": []}
    for line in (samples / "sessions.jsonl").read_bytes().splitlines(keepends=True):
        by_split[msgspec.json.decode(line)["split"]].append(line)
    folder = tmp_path_factory.mktemp("splits")
    (folder / "kb.jsonl").write_bytes(b"".join(by_split["train"][:20] + by_split["validation"][:4]))
    (folder / "test.jsonl").write_bytes(b"".join(by_split["test"][:6]))
    return folder


def lines(file):
    return stream.read([file], ("session", "knowledge"), stream.Rejects())


def trained(splits, folder, config, steps, rate=5e-4, experts=()):
    """`kdb train` within this process, which is faster than another one."""
    config.training = TrainingConfig(
        max_steps=steps, per_device_train_batch_size=4, learning_rate=rate, precision="fp32"
    )
    return train.train(lines(splits / "kb.jsonl"), config, train.TrainOptions(folder, list(experts)))


def predictions(splits, adapter, base=None):
    """What `kdb infer` predicts, within this process."""
    base, given = base or KnowledgeBase(), infer.read(lines(splits / "test.jsonl"))
    predictor = build(InferOptions("", adapter=adapter), base)
    return list(infer.infer(given, predictor, infer.run_record(given, predictor, base, 0)))[1:-1]


def reversed_copy(adapter, folder):
    """An expert that does the opposite of another."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(adapter, folder)
    weights = load_file(folder / "adapter_model.safetensors")
    save_file({n: -w if "lora_B" in n else w for n, w in weights.items()}, folder / "adapter_model.safetensors")


@pytest.fixture(scope="module")
def experts(splits, tiny_student, tmp_path_factory):
    """Two experts in a text format, one of which does the opposite of what it was taught."""
    folder = tmp_path_factory.mktemp("experts")
    config = StudentConfig(student=str(tiny_student), method=MethodConfig(answer="labels"), lora=LoraConfig(r=4))
    trained(splits, folder / "taught", config, steps=12, rate=0.01)
    reversed_copy(folder / "taught", folder / "opposite")
    return folder


@pytest.fixture(scope="module")
def routed(kdb, splits, experts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("routed") / "routed"
    names = f"{experts / 'taught'},{experts / 'opposite'}"
    done = kdb("train", splits / "kb.jsonl", "--route", names, "-o", folder, *ROUTER)
    assert done.code == 0, done.stderr
    return folder, done.records[0]


def test_the_better_expert_gets_most_weight(routed):
    _, record = routed
    weights = record["measured"]["experts"]
    assert sum(weights.values()) == pytest.approx(1, abs=1e-4)
    assert weights["taught"] > 0.8
    assert record["measured"]["losses"][-1] < record["measured"]["losses"][0]
    assert set(record["settings"]["experts"]) == {"taught", "opposite"}
    assert record["settings"]["answer"] == "labels"


def test_only_the_router_changes(routed, experts, tiny_student):
    from safetensors.torch import load_file

    from kdb.student.model import load

    folder, _ = routed
    own = load_file(folder / "router.safetensors")
    assert {name: tuple(w.shape) for name, w in own.items()} == {"1.weight": (2, 64), "1.bias": (2,)}
    assert all(w.abs().sum() > 0 for w in own.values())
    for name in ("taught", "opposite"):
        weights = (experts / name / "adapter_model.safetensors").read_bytes()
        assert (folder / "experts" / name / "adapter_model.safetensors").read_bytes() == weights
    plain, student = load(str(tiny_student), precision="fp32"), load(str(tiny_student), folder, precision="fp32")
    base = {name.replace(".base_layer", ""): w for name, w in student.model.get_base_model().named_parameters()}
    assert all(base[name].equal(w) for name, w in plain.model.named_parameters())
    assert not any(w.requires_grad for w in student.model.parameters())


def test_infer_needs_the_folder_alone(kdb, splits, routed, tmp_path):
    shutil.copytree(routed[0], tmp_path / "moved")
    done = kdb("infer", splits / "test.jsonl", "--adapter", tmp_path / "moved")
    assert done.code == 0, done.stderr
    found = done.records[1:-1]
    assert [p["raw"] for p in found] == [p.raw for p in predictions(splits, routed[0])]
    assert len(found) == 6
    assert all(p["status"] == "ok" for p in found)


def test_all_weight_on_one_expert_is_that_expert(routed, experts, tiny_student):
    """Also in a batch of prompts of different lengths, and after a prefix."""
    import torch

    from kdb.student.examples import Example
    from kdb.student.model import answer_logits, load, read_prefix

    batch = [Example(list(range(100, 100 + n)), [n - 2, n - 1], [1, 2], (1, 2)) for n in (5, 9, 17)]
    student = load(str(tiny_student), routed[0], precision="fp32")
    with torch.inference_mode():
        for n, name in enumerate(("opposite", "taught")):
            student.model.router[1].bias.copy_(torch.tensor([80.0, 0.0] if n == 0 else [0.0, 80.0]))
            student.model.router[1].weight.zero_()
            alone = load(str(tiny_student), experts / name, precision="fp32")
            wanted = answer_logits(alone, batch)
            torch.testing.assert_close(answer_logits(student, batch), wanted, atol=1e-4, rtol=1e-4)
            own, other = (answer_logits(one, batch, read_prefix(one, [7, 8, 9])) for one in (student, alone))
            torch.testing.assert_close(own, other, atol=1e-4, rtol=1e-4)


def test_a_prompt_is_weighed_the_same_in_any_batch(routed, tiny_student):
    import torch

    from kdb.student.model import load

    student = load(str(tiny_student), routed[0], precision="fp32")
    student.model.router[1].weight.data.normal_(generator=torch.Generator().manual_seed(0))
    prompts = [list(range(100, 100 + n)) for n in (5, 9, 17)]
    padded = [[0] * (17 - len(prompt)) + prompt for prompt in prompts]
    mask = [[0] * (17 - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    together = student.model.weights(torch.tensor(padded), torch.tensor(mask))
    alone = torch.cat(
        [student.model.weights(torch.tensor([p]), torch.ones(1, len(p), dtype=torch.long)) for p in prompts]
    )
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)
    assert (together[0] - together[2]).abs().max() > 1e-3  # it depends on the prompt


def test_pairs_with_demonstrations_are_routed(splits, tiny_student, tmp_path):
    """Experts of different depth and rank; rows are read after a prefix."""
    for name, lora in (("deep", LoraConfig(r=2, depth=1)), ("high", LoraConfig())):
        config = StudentConfig(
            student=str(tiny_student),
            method=MethodConfig(answer="pair-prompts"),
            context=ContextConfig(demos=1),
            lora=lora,
        )
        trained(splits, tmp_path / name, config, steps=1)
    both = [tmp_path / "high", tmp_path / "deep"]
    record = trained(splits, tmp_path / "out", routed_config(StudentConfig(), both), steps=1, experts=both)
    assert record.settings["demos"] == 1
    found = predictions(splits, tmp_path / "out", KnowledgeBase.read(lines(splits / "kb.jsonl")))
    assert len(found) == 6
    assert all(len(p.demos) == 1 and p.status == "ok" for p in found)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"method": {"answer": "list"}}, "another prompt"),
        ({"context": {"demos": 2}}, "demos is 2, not 0"),
        ({"method": {"answer": "list", "thoughts": "first"}}, "writes a thought"),
        ({"experts": {"a": ""}}, "is a router itself"),
    ],
)
def test_experts_of_different_prompts_are_refused(experts, tmp_path, changed, said):
    from kdb.errors import UsageError
    from kdb.student import config as configs
    from kdb.student.methods.build import prompt_hash

    shutil.copytree(experts / "taught", tmp_path / "other")
    data = json.loads((tmp_path / "other" / "kdb.json").read_text())
    other = msgspec.convert({**data, **changed}, StudentConfig)
    other.prompt_hash = prompt_hash(other)
    configs.save(other, tmp_path / "other")
    with pytest.raises(UsageError, match=said):
        routed_config(StudentConfig(), [experts / "taught", tmp_path / "other"])


def test_one_expert_needs_no_router(kdb, experts, splits, tmp_path):
    done = kdb("train", splits / "kb.jsonl", "--route", experts / "taught", "-o", tmp_path / "out")
    assert done.code == 2
    assert done.stderr.startswith("kdb: --route needs two or more adapters")
