"""Adapters of version 1 are read as what they were; a version that is too new is refused by name."""

import json
import shutil

import msgspec
import pytest

from kdb.errors import KdbError
from kdb.student import config as configs
from kdb.student import config_v1

V1 = {
    "v": 1,
    "student": "smollm2-135m",
    "answer": "list",
    "intents": False,
    "prompt": "1e8aa64e5281beb2",
    "demos": 3,
    "knowledge": 2,
    "formats": ["rule"],
    "neighbours": "item",
    "target": "thought+answer",
    "max_thought_tokens": 99,
    "load_in_4bit": True,
    "lora": {"rank": 4, "alpha": 8, "dropout": 0.1, "targets": "q_proj,v_proj", "depth": 0.25},
    "experts": {"a": "0", "b": "1"},
    "training": {"learning_rate": 0.1, "epochs": 2.0, "steps": 7, "batch": 3, "processes": 2, "accumulate": 5}
    | {"warmup": 0.2, "seed": 9, "precision": "fp32"},
    "objective": "precision",
    "evidence": False,
}


def test_every_setting_of_version_1_has_its_place(tmp_path) -> None:
    (tmp_path / "kdb.json").write_text(json.dumps(V1))
    config = configs.read(tmp_path)
    assert (config.v, config.student, config.base) == (2, "smollm2-135m", "")
    assert (config.prompt_hash, config.load_in_4bit, config.experts) == (V1["prompt"], True, V1["experts"])
    assert config.method == configs.MethodConfig(
        answer="list",
        intents=False,
        thoughts="first",
        max_thought_tokens=99,
        pair_features=False,
        utility="precision",
    )
    assert config.context == configs.ContextConfig(demos=3, knowledge=2, formats=["rule"], retrieval="item")
    assert config.lora == configs.LoraConfig(
        r=4, lora_alpha=8, lora_dropout=0.1, target_modules="q_proj,v_proj", depth=0.25
    )
    assert config.training == configs.TrainingConfig(
        learning_rate=0.1,
        num_train_epochs=2.0,
        max_steps=7,
        per_device_train_batch_size=3,
        world_size=2,
        gradient_accumulation_steps=5,
        warmup_ratio=0.2,
        seed=9,
        precision="fp32",
    )


@pytest.mark.parametrize(("old", "new"), config_v1.THOUGHTS.items())
def test_every_target_has_a_thought_mode(old, new, tmp_path) -> None:
    (tmp_path / "kdb.json").write_text(json.dumps({"target": old}))
    assert configs.read(tmp_path).method.thoughts == new


def test_what_is_written_is_read_as_it_was(tmp_path) -> None:
    config = configs.StudentConfig(base="abc", experts={"a": "1"}, lora=configs.LoraConfig(r=3))
    configs.save(config, tmp_path)
    assert configs.read(tmp_path) == config
    assert json.loads((tmp_path / "kdb.json").read_text())["v"] == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"v": 99}', "written in version 99, this kdb reads up to 2"),
        ('{"v": "one"}', "written in version one"),
        ('{"v": 1, "target": "rhyme"}', "'rhyme' is none of answer, thought"),
        ('{"v": 1, "lora": [1]}', "an object was expected"),
        ('{"v": 2, "lora": {"r": 0}}', "lora.r"),
        ('{"v": 2, "lora"', "kdb.json"),
        ("\udcff", "kdb.json"),
        ("[" * 5000, "kdb.json"),
    ],
)
def test_a_broken_configuration_is_one_line(text, said, tmp_path) -> None:
    (tmp_path / "kdb.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(KdbError, match=said) as caught:
        configs.read(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.fixture
def v1(tmp_path, tiny_student):
    """A copy of an adapter that version 1 made, on the tiny student of the tests."""
    from support.command_line import ROOT

    def copy(name: str):
        shutil.copytree(ROOT / "tests/data/v1" / name, tmp_path / name)
        file = tmp_path / name / "kdb.json"
        file.write_text(file.read_text().replace('"tiny"', json.dumps(str(tiny_student))))
        answers = json.loads((tmp_path / name / "answers.json").read_text())
        return tmp_path / name, {answer["id"]: answer for answer in answers}

    return copy


@pytest.fixture(scope="module")
def kitchen(samples, tmp_path_factory):
    """The sessions of one shop: what version 1 trained on, and those of the test split."""
    folder = tmp_path_factory.mktemp("kitchen")
    for line in (samples / "sessions.jsonl").read_bytes().splitlines(keepends=True):
        session = msgspec.json.decode(line)
        if session["domain"] == "kitchen":
            with (folder / ("test.jsonl" if session["split"] == "test" else "kb.jsonl")).open("ab") as file:
                file.write(line)
    return folder


def test_an_adapter_of_version_1_answers_as_it_did(kdb, v1, kitchen) -> None:
    adapter, answers = v1("pairs")
    done = kdb("infer", kitchen / "test.jsonl", "--adapter", adapter, "--set", "precision=bf16")
    assert done.code == 0, done.stderr
    found = [record for record in done.records if record["kind"] == "prediction"]
    assert len(found) == len(answers) == 8
    for prediction in found:
        said = [float(value) for value in prediction["raw"].split()]
        wanted = [float(value) for value in answers[prediction["id"]]["raw"].split()]
        assert said == pytest.approx(wanted, abs=0.05)


def test_an_adapter_of_version_1_is_asked_as_it_was(kdb, v1, kitchen) -> None:
    adapter, answers = v1("list")
    done = kdb("infer", kitchen / "test.jsonl", "--adapter", adapter, "--kb", kitchen / "kb.jsonl")
    assert done.code == 0, done.stderr
    found = [record for record in done.records if record["kind"] == "prediction"]
    assert {p["status"] for p in found} == {"ok"}
    assert [p["demos"] for p in found] == [answers[p["id"]]["demos"] for p in found]
    assert done.records[0]["settings"]["lora"]["r"] == 2
