"""Bad input through every command that reads records: one line that says where, or put aside and counted.

A command that lands is added to COMMANDS (its arguments, without the input file).
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

COMMANDS: dict[str, list[str]] = {
    "import": ["import", "--format", "jsonl"],
    "extract pattern": ["extract", "pattern"],
    "select": ["select", "--strategy", "random", "--amount", "1.0"],
    "extract thought": ["extract", "thought", "--teacher", "annotations"],
    "train": ["train", "-o", "adapter"],
    "infer": ["infer", "--baseline", "whole-session"],
}
HEAVY = {"train"}
"""Commands that would go on to load a model where the input is good."""

ITEMS = [{"id": "a", "title": "Kettle"}, {"id": "b", "title": "Teapot"}, {"id": "c", "title": "Whisk"}]
SESSION = {
    "kind": "session",
    "id": "good",
    "domain": "d",
    "split": "train",
    "items": ITEMS,
    "bundles": [{"items": ["a", "b"], "intent": "tea"}],
}


def changed(**fields: object) -> bytes:
    """A session with some fields set, or taken away by None."""
    data = {**SESSION, "id": "bad", **fields}
    return json.dumps({key: value for key, value in data.items() if value is not None}).encode() + b"\n"


BAD: dict[str, tuple[bytes, str]] = {
    "truncated last line": (changed()[:60], "the last line is cut short"),
    "not JSON": (b"<session/>\n", "not JSON"),
    "not an object": (b"[1, 2]\n", "Expected `object`"),
    "no kind": (changed(kind=None), "missing field 'kind'"),
    "missing field": (changed(items=None), "missing field 'items'"),
    "missing field in an item": (changed(items=[{"id": "a"}]), "missing field 'items[0].title'"),
    "wrong type": (changed(id=7), "id: Expected `str`, got `int`"),
    "wrong type in an item": (changed(items=[{"id": "a", "title": 3}]), "items[0].title"),
    "no items": (changed(items=[], bundles=None), "items: empty"),
    "an item twice": (changed(items=[*ITEMS, ITEMS[0]]), "item 'a' stands twice"),
    "an item twice in a bundle": (changed(bundles=[{"items": ["a", "a"]}]), "bundles[0]"),
    "a bundle of one": (changed(bundles=[{"items": ["a"]}]), "fewer than two items"),
    "a bundle naming an unknown item": (
        changed(bundles=[{"items": ["a", "z"]}]),
        "'z' is not in the session",
    ),
    "unknown split": (changed(split="dev"), "split: Invalid enum value 'dev'"),
    "a format of the future": (changed(v=99), "upgrade kdb"),
    "invalid UTF-8": (changed(id="\xe9").replace(b"\\u00e9", b"\xe9"), "not valid UTF-8"),
    "a lone surrogate": (changed().replace(b"Kettle", b"\\ud800"), "not JSON"),
    "a lone surrogate as bytes": (changed().replace(b"Kettle", b"\xed\xa0\x80"), "not valid UTF-8"),
    "deep nesting": (
        changed(x=0).replace(b'"x": 0', b'"x": ' + b"[" * 50_000 + b"]" * 50_000),
        "nested too deeply",
    ),
}
STOPPING = ("truncated last line", "a bundle naming an unknown item", "invalid UTF-8", "deep nesting")
"""The cases that each command meets one by one; it meets all of them together with --rejects."""

GOOD = [
    changed(id="control", items=[{"id": "a", "title": "<|im_end|>\u0000</s>[INST]\u202e\n1. x"}, *ITEMS[1:]]),
    changed(id="long", items=[{"id": "a", "title": "Kettle &amp; " * 8_000}, *ITEMS[1:]]),
    changed(id="unknown", shop={"deep": [[[1e300, -0.0]]]}),
    b'{"kind": "note", "text": "passes"}\n',
]


@pytest.fixture(params=COMMANDS)
def run(request, kdb, tmp_path: Path) -> Callable:
    """Run the command on a file with these bytes."""

    def run_on(content: bytes, *more: str):
        (tmp_path / "input.jsonl").write_bytes(content)
        done = kdb(*COMMANDS[request.param], "input.jsonl", *more, cwd=tmp_path)
        assert "Traceback" not in done.stderr
        return done

    run_on.command = request.param
    return run_on


@pytest.mark.parametrize("case", STOPPING)
def test_bad_line_stops_with_its_place(run, case: str) -> None:
    line, says = BAD[case]
    done = run(changed(id="first") + line)
    assert done.code == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("kdb: input.jsonl:2: ")
    assert says in last
    assert len(last) < 400


def test_bad_lines_are_put_aside(run, tmp_path: Path) -> None:
    ended = [line if line.endswith(b"\n") else line + b"\n" for line, _ in BAD.values()]
    good = [] if run.command in HEAVY else [changed(id="first"), changed(id="last")]
    done = run(b"".join([*ended, *good]), "--rejects", "rejects.jsonl")
    assert done.code == 1
    rejects = [json.loads(line) for line in (tmp_path / "rejects.jsonl").open()]
    assert [r["place"] for r in rejects] == [f"input.jsonl:{n}" for n in range(1, 1 + len(BAD))]
    for reject, (case, (_, says)) in zip(rejects, BAD.items(), strict=True):
        # Its end is there now: it is no longer the last line that is cut short.
        assert (says if case != "truncated last line" else "truncated") in reject["error"]
    if good:
        assert f"{len(BAD)} bad lines were put into rejects.jsonl" in done.stderr
        assert {"first", "last"} <= {record.get("id") for record in done.records}


def test_odd_but_good_lines_pass(run) -> None:
    if run.command in HEAVY:
        pytest.skip("would go on to train")
    done = run(changed(id="first") + b"".join(GOOD))
    assert done.code == 0, done.stderr
    assert len(done.records) >= 1 + len(GOOD)


def test_empty_input_is_no_records_or_one_line(run) -> None:
    done = run(b"")
    assert done.out == b""
    assert done.code == 0 or (done.code == 1 and done.stderr.startswith("kdb: "))
    assert done.stderr.count("\n") <= 1


PREDICTION = {
    "kind": "prediction",
    "id": "good",
    "domain": "d",
    "items": ["a", "b", "c"],
    "bundles": [{"items": ["a", "b"]}],
    "truth": [{"items": ["a", "b"], "intent": "tea"}],
    "status": "ok",
    "run": "r",
}
BAD_PREDICTIONS: dict[str, tuple[dict, str]] = {
    "missing field": ({"bundles": None}, "missing field 'bundles'"),
    "wrong type": ({"status": 3}, "status"),
    "unknown status": ({"status": "fine"}, "status"),
    "an item twice": ({"items": ["a", "b", "a"]}, "item 'a' stands twice"),
    "truth naming an unknown item": ({"truth": [{"items": ["a", "z"]}]}, "'z' is not in the session"),
    "no truth": ({"truth": None}, "truth"),
    "a session twice": ({"id": "good"}, "twice"),
}


@pytest.mark.parametrize("case", BAD_PREDICTIONS)
def test_a_bad_prediction_is_named(kdb, case: str) -> None:
    fields, says = BAD_PREDICTIONS[case]
    bad = {key: value for key, value in {**PREDICTION, "id": "bad", **fields}.items() if value is not None}
    lines = [json.dumps(PREDICTION), json.dumps(bad)]
    done = kdb("eval", "-", stdin="\n".join(lines))
    assert done.code == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("kdb: stdin:2: ")
    assert says in last


@pytest.mark.parametrize("text", [b"", b"{", b"nonsense\n", b"\xff\xfe\n"])
def test_eval_without_a_prediction(kdb, text: bytes) -> None:
    done = kdb("eval", "-", stdin=text)
    assert done.code == 1
    assert done.out == b""
    assert done.stderr.startswith("kdb: ")
    assert done.stderr.count("\n") == 1


def test_missing_file(kdb, tmp_path: Path) -> None:
    for argv in COMMANDS.values():
        done = kdb(*argv, "nowhere.jsonl", cwd=tmp_path)
        assert done.code == 1
        assert done.stderr.splitlines()[-1] == "kdb: nowhere.jsonl: No such file or directory"
