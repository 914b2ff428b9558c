"""An option that has no effect beside another one is refused, by the name that it was typed by."""

import pytest

EXPORT = ("export", "--sheet", "s.csv")
EVAL = ("eval", "p.jsonl")


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ((*EXPORT, "--format", "gguf"), "--format has no effect with --sheet"),
        ((*EXPORT, "--outtype", "f32", "--precision", "bf16"), "--outtype, --precision have no effect with"),
        ((*EXPORT, "--check", "c.jsonl"), "--check has no effect with --sheet"),
        ((*EXPORT, "--adapter", "a", "-o", "m"), "--adapter, --output have no effect with --sheet"),
        ((*EXPORT, "--set", "device=cpu"), "--set device has no effect with --sheet"),
        ((*EVAL, "--best", "-o", "m.jsonl"), "--output has no effect with --best"),
        ((*EVAL, "--best", "--by", "length", "--format", "table"), "--by, --format have no effect with --best"),
        ((*EVAL, "--full", "--format", "records"), "--full has no effect with --format records"),
        ((*EVAL, "--full", "--per-session"), "--per-session has no effect with --full"),
        ((*EVAL, "--format", "table", "-o", "m.jsonl"), "--output has no effect with --format table"),
        (("report", "m.jsonl", "--table", "runs", "--note", "x"), "--note has no effect with --table"),
        (("report", "m.jsonl", "-o", "r", "--format", "csv"), "--format has no effect with a report, only with"),
        (("select", "--of", "knowledge", "--rest", "drop"), "--rest has no effect with --of knowledge"),
        (("import", "x.csv", "--format", "events", "--truth", "raw"), "--truth has no effect with --format events"),
        (("infer", "--baseline", "clusters", "--set", "retrieval=item"), "--set retrieval has no effect with"),
        (("infer", "--set", "aggregate=pairs"), "--set aggregate has no effect with --samples 1"),
        (("train", "--emit", "e.jsonl", "--set", "r=8"), "--set r has no effect with --emit"),
        (("train", "--emit", "e.jsonl", "--learning-rate", "1"), "--learning-rate has no effect with --emit"),
        (("extract", "rule", "--teacher", "gpt2", "--model", "m"), "--model has no effect with --teacher gpt2"),
        (("extract", "label", "--teacher", "gpt2", "--extra-body", "{}"), "--extra-body has no effect with"),
    ],
)
def test_what_has_no_effect_is_refused(kdb, tmp_path, argv: tuple[str, ...], says: str) -> None:
    done = kdb(*argv, cwd=tmp_path)
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"kdb: {says}") and done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_environment_is_not_refused(kdb, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDB_TEACHER_MODEL", "m")
    monkeypatch.setenv("KDB_CACHE", str(tmp_path / "cache"))
    done = kdb("extract", "rule", "--teacher", "gpt2", "--dry-run", cwd=tmp_path)
    assert "has no effect" not in done.stderr
