"""An adapter is put only on the weights that it was trained on, and only whole; what is wrong is one line."""

import json
import shutil

import msgspec
import pytest
from support.shop import TRAINING, session

FEW = ("--answer", "pair-prompts", "--max-steps", "2", "--set", "per_device_train_batch_size=4", "--set", "r=2")


@pytest.fixture(scope="module")
def kb(tmp_path_factory):
    file = tmp_path_factory.mktemp("kb") / "kb.jsonl"
    records = [*TRAINING[:6], *(session(n, "validation") for n in range(300, 303))]
    file.write_bytes(b"".join(msgspec.json.encode(r) + b"\n" for r in records))
    return file


@pytest.fixture(scope="module")
def adapter(kdb, kb, tiny_student, tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults") / "adapter"
    done = kdb("train", kb, "--student", tiny_student, "-o", folder, *FEW)
    assert done.code == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def asked():
    return b"".join(msgspec.json.encode(session(n, "test")) + b"\n" for n in range(400, 402))


def tensors(file, change):
    from safetensors.torch import load_file, save_file

    save_file(change(load_file(file)), file)


def rename(file):
    tensors(file, lambda w: {name.replace("model.model.", "model.other.", 1): v for name, v in w.items()})


def drop(file):
    tensors(file, lambda w: dict(sorted(w.items())[:1]))


def no_numbers(file):
    tensors(file, lambda w: {name: v * float("nan") for name, v in w.items()})


def narrow(file):
    tensors(file, lambda w: {name: v[:1].clone() if "lora_A" in name else v for name, v in w.items()})


def truncate(file):
    file.write_bytes(file.read_bytes()[:-100])


def pointer(file):
    file.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{7:064}\nsize 9796392\n")


@pytest.mark.parametrize("break_it", [rename, drop, no_numbers, narrow, truncate, pointer])
def test_broken_weights_are_refused(kdb, adapter, asked, tmp_path, break_it) -> None:
    shutil.copytree(adapter, tmp_path / "adapter")
    break_it(tmp_path / "adapter" / "adapter_model.safetensors")
    done = kdb("infer", "--adapter", tmp_path / "adapter", stdin=asked)
    assert (done.code, done.out, len(done.stderr.splitlines())) == (1, b"", 1), done.stderr
    assert "adapter" in done.stderr


def without(name):
    return lambda kept: {key: value for key, value in kept.items() if key != name}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("association"), "no tensor 'association'"),
        (
            lambda kept: {**kept, "weights": kept["weights"] * float("inf")},
            "weights holds values that are no numbers",
        ),
        (lambda kept: {**kept, "weights": kept["weights"][:3].copy()}, "not the"),
    ],
)
def test_broken_pair_weights_are_refused(kdb, adapter, asked, tmp_path, change, said) -> None:
    from safetensors.numpy import load_file, save_file

    shutil.copytree(adapter, tmp_path / "adapter")
    file = tmp_path / "adapter" / "posterior.safetensors"
    save_file(change(load_file(file)), file)
    done = kdb("infer", "--adapter", tmp_path / "adapter", stdin=asked)
    assert (done.code, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert said in done.stderr


def test_an_edited_configuration_is_refused(kdb, adapter, asked, tmp_path) -> None:
    shutil.copytree(adapter, tmp_path / "adapter")
    file = tmp_path / "adapter" / "kdb.json"
    config = json.loads(file.read_text())
    config["method"]["pair_features"] = False
    file.write_text(json.dumps(config))
    done = kdb("infer", "--adapter", tmp_path / "adapter", stdin=asked)
    assert done.code == 1
    assert "posterior.safetensors" in done.stderr


@pytest.fixture(scope="module")
def other_student(tiny_student, tmp_path_factory):
    """A student of the same shape with other weights."""
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("other") / "model"
    shutil.copytree(tiny_student, folder)
    file = folder / "model.safetensors"
    weights = load_file(file)
    weights["model.norm.weight"] = weights["model.norm.weight"] * 1.5
    save_file(weights, file, metadata={"format": "pt"})
    return folder


def test_an_adapter_goes_on_no_other_weights(kdb, adapter, asked, other_student) -> None:
    done = kdb("infer", "--adapter", adapter, "--student", other_student, stdin=asked)
    assert (done.code, len(done.stderr.splitlines())) == (1, 1), done.stderr
    assert "was trained on other weights than those of" in done.stderr
    assert str(other_student) in done.stderr


def test_a_moved_base_can_be_named(kdb, adapter, asked, tiny_student, tmp_path) -> None:
    shutil.copytree(tiny_student, tmp_path / "moved")
    shutil.copytree(adapter, tmp_path / "adapter")
    file = tmp_path / "adapter" / "kdb.json"
    file.write_text(file.read_text().replace(str(tiny_student), "/no/such/folder"))
    done = kdb("infer", "--adapter", tmp_path / "adapter", stdin=asked)
    assert (done.code, len(done.stderr.splitlines())) == (1, 1), done.stderr
    found = kdb("infer", "--adapter", tmp_path / "adapter", "--student", tmp_path / "moved", stdin=asked)
    assert found.code == 0, found.stderr
    wanted = kdb("infer", "--adapter", adapter, stdin=asked)
    assert [p.get("raw") for p in found.records[1:-1]] == [p.get("raw") for p in wanted.records[1:-1]]


def test_the_hash_of_weights_is_that_of_their_content(tiny_student, other_student, tmp_path) -> None:
    from safetensors.torch import load_file, save_file

    from kdb.student.tensors import weights_hash

    own = weights_hash(tiny_student)
    assert own != weights_hash(other_student)
    weights = sorted(load_file(tiny_student / "model.safetensors").items())
    save_file(dict(weights[:5]), tmp_path / "b.safetensors", metadata={"format": "pt"})
    save_file(dict(weights[5:]), tmp_path / "a.safetensors")
    assert weights_hash(tmp_path) == own
    assert weights_hash(tmp_path / "none") == ""


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--answer", "list"), "answer is list, but"),
        (("--set", "pair_features=false"), "pair_features is False, but"),
        (("--set", "thoughts=first"), "thoughts is first, but"),
    ],
)
def test_an_option_that_an_adapter_overrides_is_refused(kdb, adapter, asked, flags, said) -> None:
    done = kdb("infer", "--adapter", adapter, *flags, stdin=asked)
    assert (done.code, done.out) == (2, b"")
    assert said in done.stderr


def test_what_was_trained_on_is_no_fair_result(kdb, adapter, kb, asked) -> None:
    done = kdb("infer", kb, "--adapter", adapter)
    assert done.code == 0, done.stderr
    measured = done.records[0]["measured"]
    assert (measured["trained_on"], measured["tuned_on"], measured["sessions"]) == (6, 3, 9)
    assert "no fair result: 6 of 9 sessions are those it was trained on" in done.stderr
    other = kdb("infer", "--adapter", adapter, stdin=asked)
    assert "trained_on" not in other.records[0]["measured"]


@pytest.mark.parametrize(
    ("how", "tuned"), [(("--baseline", "partition-crf-frozen"), 0), (("--answer", "pair-prompts"), 3)]
)
def test_what_would_be_learnt_from_is_not_predicted(kdb, kb, tiny_student, how, tuned) -> None:
    student = () if "--baseline" in how else ("--student", tiny_student)
    done = kdb("infer", kb, "--kb", kb, *student, *how)
    assert (done.code, done.out) == (1, b"")
    assert "6 of 9 sessions stand in --kb too and would be learnt from" in done.stderr
    validation = b"".join(kb.read_bytes().splitlines(keepends=True)[6:])
    done = kdb("infer", "--kb", kb, *student, *how, stdin=validation)
    assert done.code == 0, done.stderr
    assert done.records[0]["measured"].get("tuned_on", 0) == tuned
