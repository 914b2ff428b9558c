"""The answer format pair-prompts: each pair is asked about, and decisions stay in the closed world."""

import shutil

import msgspec
import numpy as np
import pytest

from kdb.partitions import pair_features
from kdb.partitions.calibration import PlattScaling
from kdb.prompts.messages import Query
from kdb.records import Bundle, Item, Session
from kdb.retrieval.embedder import open_embedder
from kdb.student.config import MethodConfig, StudentConfig
from kdb.student.methods.build import build_method

TRAIN = ("--answer", "pair-prompts", "--max-steps", "6", "--set", "per_device_train_batch_size=4", "--set", "r=4")


@pytest.fixture(scope="module")
def splits(samples, tmp_path_factory):
    """The sample sessions of one shop: paths to `kb` (training and validation) and `test`."""
    folder = tmp_path_factory.mktemp("splits")
    for line in (samples / "sessions.jsonl").read_bytes().splitlines(keepends=True):
        session = msgspec.json.decode(line)
        if session["domain"] == "kitchen":
            with (folder / ("test.jsonl" if session["split"] == "test" else "kb.jsonl")).open("ab") as file:
                file.write(line)
    return folder


@pytest.fixture(scope="module")
def adapter(kdb, splits, tiny_student, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs") / "adapter"
    done = kdb("train", splits / "kb.jsonl", "--student", tiny_student, "-o", folder, *TRAIN)
    assert done.code == 0, done.stderr
    return folder


@pytest.mark.parametrize("utility", ["f1", "precision"])
def test_an_adapter_decides_inside_the_session(kdb, splits, adapter, utility):
    argv = ("infer", splits / "test.jsonl", "--adapter", adapter, "--utility", utility)
    done = kdb(*argv)
    assert done.code == 0, done.stderr
    sessions = [msgspec.json.decode(line) for line in (splits / "test.jsonl").read_bytes().splitlines()]
    run, *predictions, _ = done.records
    assert run["settings"]["utility"] == utility
    for session, prediction in zip(sessions, predictions, strict=True):
        known = {item["id"] for item in session["items"]}
        assert prediction["status"] == "ok"
        assert all(len(b["items"]) > 1 and set(b["items"]) <= known for b in prediction["bundles"])
        assert len(prediction["raw"].split()) == len(known) * (len(known) - 1) // 2
    again = kdb(*argv).records[1:-1]
    assert [p["bundles"] for p in again] == [p["bundles"] for p in predictions]


def test_categories_of_the_session_are_never_read(kdb, splits, adapter):
    """The leak of the public data: an item there has a category if and only if it is in a bundle."""
    bare = []
    for line in (splits / "test.jsonl").read_bytes().splitlines():
        session = msgspec.json.decode(line)
        for item in session["items"]:
            item.pop("category", None)
        bare.append(msgspec.json.encode(session))
    with_categories = kdb("infer", splits / "test.jsonl", "--adapter", adapter).records[1:-1]
    without = kdb("infer", "-", "--adapter", adapter, stdin=b"\n".join(bare)).records[1:-1]
    for a, b in zip(with_categories, without, strict=True):
        assert (a["bundles"], a["raw"]) == (b["bundles"], b["raw"])


def test_without_evidence_nothing_else_is_kept(kdb, splits, tiny_student, tmp_path):
    folder = tmp_path / "adapter"
    argv = ("train", splits / "kb.jsonl", "--student", tiny_student, "-o", folder, *TRAIN, "--no-pair-features")
    assert kdb(*argv).code == 0
    from safetensors.numpy import load_file

    assert set(load_file(folder / "posterior.safetensors")) == {"weights", "scale", "calibration"}
    assert kdb("infer", splits / "test.jsonl", "--adapter", folder).code == 0


def test_probabilities_are_calibrated_as_the_adapter_says(kdb, splits, adapter, tmp_path):
    """One of an earlier version has no calibration: its probabilities are the model's own."""
    from safetensors.numpy import load_file, save_file

    def probabilities(kept):
        folder = shutil.copytree(adapter, tmp_path / str(len(list(tmp_path.iterdir()))))
        save_file(kept, folder / "posterior.safetensors")
        done = kdb("infer", splits / "test.jsonl", "--adapter", folder)
        assert done.code == 0, done.stderr
        return [b["probability"] for r in done.records[1:-1] for b in r["bundles"]]

    kept = load_file(adapter / "posterior.safetensors")
    calibrated = probabilities({**kept, "calibration": np.array([0.5, 1.0])})
    kept.pop("calibration")
    assert calibrated == pytest.approx([PlattScaling(0.5, 1.0)(p) for p in probabilities(kept)])


def test_without_an_adapter_the_posterior_is_learnt_from_the_kb(kdb, splits, tiny_student):
    argv = ("infer", splits / "test.jsonl", "--student", tiny_student, "--answer", "pair-prompts")
    done = kdb(*argv)
    assert done.code == 1
    assert "--kb" in done.stderr
    assert kdb(*argv, "--kb", splits / "kb.jsonl").code == 0


def test_a_prompt_asks_about_every_other_item(student):
    items = [Item(str(n), f"thing {n}") for n in range(4)]
    query = Query(Session(id="1", domain="d", items=items, bundles=[Bundle(["0", "2"])]))
    prompts = build_method(student, StudentConfig(method=MethodConfig(answer="pair-prompts"))).examples(query)
    tokenizer = student.tokenizer
    assert [tokenizer.decode(t) for t in prompts[0].labels] == [" no", " yes", " no"]
    assert [tokenizer.decode(t) for t in prompts[1].labels] == [" no", " no", " no"]
    assert all(tokenizer.decode(prompts[0].input_ids[: p + 1]).endswith(" ->") for p in prompts[0].answer_positions)
    assert tokenizer.decode(prompts[2].input_ids).splitlines()[0] == "Product: thing 2"


def session(number: int, bundled: str, other: str) -> Session:
    """Two items of one category in a bundle and one of another beside it."""
    items = [
        Item(f"{number}a", f"{bundled} {number}", [["shop", bundled]]),
        Item(f"{number}b", f"{bundled} number {number}", [["shop", bundled]]),
        Item(f"{number}c", f"{other} {number}"),
    ]
    return Session(id=str(number), domain="d", items=items, bundles=[Bundle([items[0].id, items[1].id])])


def test_evidence_prefers_what_was_bought_together():
    training = [session(n, "copper kettle", "garden hose") for n in range(12)]
    found, crossed = pair_features.fit(open_embedder(), training)
    pairs = found.pairs([Item("x", "copper kettle blue"), Item("y", "kettle of copper"), Item("z", "garden hose")])
    assert pairs.shape == (3, 3, pair_features.N_FEATURES)
    assert np.allclose(pairs, pairs.transpose(1, 0, 2))
    assert pairs[0, 1, 0] > pairs[0, 2, 0]
    flat = np.concatenate([own[np.triu_indices(3, 1)] for own in crossed])
    assert np.allclose(flat.mean(0), 0, atol=1e-4)


def test_evidence_without_any_category():
    training = [session(n, "cup", "hose") for n in range(4)]
    for one in training:
        for item in one.items:
            item.category = []
    found, crossed = pair_features.fit(open_embedder(), training)
    assert np.isfinite(found.pairs(training[0].items)).all()
    assert all(np.isfinite(own).all() for own in crossed)
