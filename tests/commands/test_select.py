"""`kdb select`: what is taken, what goes with it and what is left alone."""

from collections.abc import Iterable

import msgspec
import pytest

from kdb.evaluation.matched_session import matched_f1
from kdb.records import Bundle, FirstAttempt, Item, Knowledge, Prediction, Record, Session, Source
from kdb.student.tokens import counts

ODD = '{"kind": "note",  "x":1}\n'
WORDS = ["lamp", "shade", "drill", "screw", "tent", "stove", "spoon", "rope", "saw", "vase", "glue"]


def session(number: int, domain: str = "shop", split: str | None = "train") -> Session:
    """A session of 2 to 7 products."""
    items = [Item(f"{number}-{k}", f"{WORDS[(number + k) % 11]} no {number}") for k in range(2 + number % 6)]
    return Session(id=str(number), domain=domain, items=items, split=split, bundles=[])


def piece(name: str, sessions: list[int], form: str = "pattern", domain: str = "shop", **fields) -> Knowledge:
    source = Source([str(n) for n in sessions])
    return Knowledge(id=name, format=form, domain=domain, text=f"text {name}", source=source, **fields)


def stream(records: Iterable[Record]) -> str:
    return "".join(msgspec.json.encode(r).decode() + "\n" for r in records)


TRAINING = [session(n) for n in range(30)]
ASIDE = [session(100, split="validation"), session(101, split="test"), session(102, "other", "validation")]


def ids(done, kind: str = "session") -> list[str]:
    """The ids of the records that were selected, by rank."""
    assert done.code == 0, done.stderr
    chosen = [r for r in done.records if r["kind"] == kind and "selected" in r]
    return [r["id"] for r in sorted(chosen, key=lambda r: r["selected"]["rank"])]


STRATEGIES = [
    ("random",),
    ("length", "--prefer", "short"),
    ("length", "--prefer", "spread"),
    ("diversity",),
    ("difficulty", "--prefer", "spread"),
]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=" ".join)
def test_samples_are_nested_and_repeat(kdb, strategy) -> None:
    rounds = [FirstAttempt(n % 7 / 7, n % 5 / 5) for n in range(30)]
    rules = [piece(f"r{n}", [n], "rule", first_attempt=rounds[n]) for n in range(30)]
    given = stream([*TRAINING, *rules])
    small = kdb("select", "--strategy", *strategy, "--amount", "0.1", stdin=given)
    large = kdb("select", "--strategy", *strategy, "--amount", "0.4", stdin=given)
    assert len(ids(small)) == 3
    assert len(ids(large)) == 12
    assert ids(large)[:3] == ids(small)
    assert kdb("select", "--strategy", *strategy, "--amount", "0.4", stdin=given).out == large.out
    assert all(r["selected"]["strategy"] == strategy[0] for r in large.records if r["kind"] == "session")


def test_the_rest_passes_byte_for_byte_and_in_order(kdb) -> None:
    given = ODD + stream([*ASIDE, *TRAINING]) + ODD
    done = kdb("select", "--amount", "5", "--domains", "shop", stdin=given)
    lines = done.stdout.splitlines(keepends=True)
    assert lines[:4] + lines[-1:] == (ODD + stream(ASIDE) + ODD).splitlines(keepends=True)
    kept = [int(r["id"]) for r in done.records if r["kind"] == "session" and "selected" in r]
    assert len(kept) == 5
    assert kept == sorted(kept)
    assert "shop: 5 of 30 sessions" in done.stderr


def test_everything_stays_where_no_quantity_is_given(kdb) -> None:
    assert len(ids(kdb("select", stdin=stream(TRAINING)))) == 30


def test_longest_and_shortest_sessions(kdb) -> None:
    long = kdb("select", "--strategy", "length", "--amount", "5", stdin=stream(TRAINING))
    short = kdb("select", "--strategy", "length", "--prefer", "short", "--amount", "5", stdin=stream(TRAINING))
    assert {int(i) % 6 for i in ids(long)} == {5}
    assert {int(i) % 6 for i in ids(short)} == {0}


def test_knowledge_goes_with_its_sessions(kdb) -> None:
    pieces = [piece("even", [0, 2, 4]), piece("odd", [1, 3]), piece("mixed", [1, 2]), piece("rootless", [])]
    elsewhere = piece("elsewhere", [1], domain="other")
    sessions = [session(0), session(1), session(2), session(3), session(4), session(1, "other")]
    # The longest of 0 to 4 is 4; `even` was drawn from it.
    command = ("select", "--strategy", "length", "--amount", "2", "--per-domain")
    done = kdb(*command, stdin=stream([*pieces, *sessions, elsewhere]))
    assert [r["id"] for r in done.records if r["kind"] == "session"] == ["3", "4", "1"]
    assert [r["id"] for r in done.records if r["kind"] == "knowledge"] == [
        "even",
        "odd",
        "rootless",
        "elsewhere",
    ]
    assert "shop: 2 of 5 sessions, 3 of 4 patterns" in done.stderr
    assert "other: 1 of 1 sessions, 1 of 1 patterns" in done.stderr


def test_knowledge_is_ranked_itself_and_sessions_go_with_it(kdb) -> None:
    pieces = [piece(f"{form}{n}", [n], form) for form in ("pattern", "thought") for n in range(10)]
    given = stream([*TRAINING, *pieces])
    done = kdb("select", "--of", "knowledge", "--formats", "thought", "--amount", "4", stdin=given)
    assert len(ids(done, "knowledge")) == 4
    assert {r["format"] for r in done.records if r["kind"] == "knowledge"} == {"thought"}
    assert done.stdout.startswith(stream(TRAINING))
    assert "shop: 30 of 30 sessions, 0 of 10 patterns, 4 of 10 thoughts" in done.stderr


def test_domains_and_per_domain(kdb) -> None:
    given = stream([*TRAINING, *(session(n, "other") for n in range(10)), *(session(n, "third") for n in range(4))])
    done = kdb("select", "--amount", "0.5", "--domains", "shop,other", "--per-domain", stdin=given)
    found = [r["domain"] for r in done.records]
    assert (found.count("shop"), found.count("other"), found.count("third")) == (15, 5, 0)


def test_the_hardest_are_those_that_the_teacher_got_wrong(kdb) -> None:
    right, wrong, middle = FirstAttempt(1, 1), FirstAttempt(0, 0), FirstAttempt(0.5, 0.5)
    rules = [
        piece("r0", [0], "rule", first_attempt=middle),
        piece("r1", [1, 2], "rule", first_attempt=middle, first_attempts={"1": wrong, "2": right}),
        piece("r2", [2], "rule", first_attempt=right),
    ]
    given = stream([*TRAINING, *rules])
    hard = kdb("select", "--strategy", "difficulty", "--amount", "3", stdin=given)
    easy = kdb("select", "--strategy", "difficulty", "--prefer", "easy", "--amount", "3", stdin=given)
    assert ids(hard) == ["1", "0", "2"]
    assert ids(easy) == ["2", "0", "1"]
    assert "27 of 30 records have no known difficulty" in hard.stderr
    knowledge = kdb("select", "--of", "knowledge", "--strategy", "difficulty", stdin=given)
    assert set(ids(knowledge, "knowledge")[:2]) == {"r0", "r1"}  # both have a mean of one half


def test_the_hardest_are_those_that_the_student_got_wrong(kdb, tmp_path) -> None:
    predictions = []
    for own in TRAINING:
        items = [item.id for item in own.items]
        truth = [Bundle(items[:2])]
        bundles = [Bundle(items[: 2 + int(own.id) % 3])] if len(items) > 4 else []
        fields = {"id": own.id, "domain": "shop", "items": items, "bundles": bundles, "truth": truth}
        predictions.append(Prediction(status="ok", run="x", **fields))
    (tmp_path / "predictions.jsonl").write_text(stream(predictions))
    options = ("--strategy", "difficulty", "--difficulty", tmp_path / "predictions.jsonl")
    ranked = ids(kdb("select", *options, stdin=stream(TRAINING)))
    scores = {p.id: matched_f1([b.items for b in p.bundles], [b.items for b in p.truth or []]) for p in predictions}
    assert [scores[i] for i in ranked] == sorted(scores.values())
    assert len(set(scores.values())) > 2


def test_diversity_takes_one_of_each_kind_first(kdb) -> None:
    kinds = {"a": "camping tent with poles", "b": "stainless steel saucepan", "c": "acoustic guitar strings"}
    sessions = [
        Session(id=f"{name}{n}", domain="shop", items=[Item("1", f"{title} {n}"), Item("2", title)])
        for name, title in kinds.items()
        for n in range(10 if name == "a" else 2)
    ]
    chosen = ids(kdb("select", "--strategy", "diversity", "--amount", "3", stdin=stream(sessions)))
    assert {i[0] for i in chosen} == {"a", "b", "c"}


@pytest.mark.parametrize("budget", [0, 57, 300])
def test_a_token_budget_is_never_exceeded(kdb, budget) -> None:
    pieces = [piece(f"{'word ' * (n % 9)}{n}", [], "rule") for n in range(20)]
    done = kdb("select", "--of", "knowledge", "--amount", f"{budget}tok", stdin=stream(pieces))
    assert done.code == 0
    chosen = [r["text"] for r in done.records]
    assert sum(counts(chosen, "smollm2-135m")) <= budget
    assert bool(chosen) == bool(budget)


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (("--amount", "1.5"), 2, "a share (0.3), a number (200) or tokens (5000tok)"),
        (("--amount", "-2"), 2, "no amount"),
        (("--difficulty", "rules"), 2, "--difficulty has no effect with --strategy random"),
        (("--embedder", "x", "--strategy", "length"), 2, "--embedder has no effect with --strategy length"),
        (("--student", "x", "--amount", "0.5"), 2, "--student counts tokens"),
        (("--strategy", "lenght"), 2, "did you mean 'length'?"),
        (("--strategy", "random", "--prefer", "hard"), 2, "leave out --prefer"),
        (("--strategy", "length", "--prefer", "hard"), 2, "long, short, spread"),
        (("--formats", "patterns"), 2, "pattern, rule, thought"),
        (("--strategy", "difficulty"), 1, "by --difficulty"),
        (("--of", "knowledge"), 1, "holds no knowledge"),
        (("--domains", "shops"), 1, "check --domains"),
    ],
)
def test_what_cannot_be_done_is_one_line(kdb, options, code, message) -> None:
    done = kdb("select", *options, stdin=stream(TRAINING))
    assert (done.code, done.stdout) == (code, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_hardest_are_those_that_surprise_the_student(kdb, tiny_student) -> None:
    from kdb.student.session_loss import session_losses

    sessions = [msgspec.structs.replace(s, bundles=[Bundle([i.id for i in s.items[:2]])]) for s in TRAINING[:8]]
    losses = session_losses(sessions, str(tiny_student), None)
    order = sorted(sessions, key=lambda s: -losses["shop", s.id])
    done = kdb(
        "select", "--strategy", "difficulty", "--difficulty", tiny_student, "--amount", "4", stdin=stream(sessions)
    )
    assert ids(done) == [s.id for s in order[:4]]
    assert done.records[0]["selected"]["difficulty"] == str(tiny_student)


FORMS = ("label", "thought", "pattern", "rule")


@pytest.mark.parametrize("strategy", ["random", "length", "diversity"])
def test_every_format_of_knowledge_is_counted_and_ranked(kdb, strategy: str) -> None:
    pieces = [piece(f"{form}{n}", [n], form) for form in FORMS for n in range(4)]
    given = stream([*TRAINING, *pieces])
    done = kdb("select", "--strategy", strategy, "--amount", "30", stdin=given)
    assert done.code == 0
    assert "shop: 30 of 30 sessions, 4 of 4 patterns, 4 of 4 rules, 4 of 4 thoughts, 4 of 4 labels" in done.stderr
    ranked = kdb("select", "--of", "knowledge", "--formats", "label", "--strategy", strategy, stdin=given)
    assert {i[:5] for i in ids(ranked, "knowledge")} == {"label"}


@pytest.mark.parametrize(
    ("text", "stated"), [("0.25", 0.25), ("1.0", 1.0), ("7", "7 sessions"), ("900tok", "900 tokens"), ("", 1.0)]
)
def test_records_state_the_amount(kdb, text: str, stated: object) -> None:
    argv = ("--amount", text) if text else ()
    (first, *_) = kdb("select", *argv, stdin=stream(TRAINING)).records
    assert first["selected"]["amount"] == stated


def test_the_other_sessions_may_stay_without_their_annotations(kdb) -> None:
    items = [Item(f"{n}", f"thing {n}", [["Home", "Lamps"]]) for n in range(3)]
    training = [
        Session(id=str(n), domain="shop", split="train", items=items, bundles=[Bundle(["0", "1"])])
        for n in range(10)
    ]
    given = stream([*training, *ASIDE[:1], piece("p", [*range(10)])]).replace('"split"', '"shelf": 7, "split"')
    dropped = kdb("select", "--amount", "0.3", stdin=given)
    done = kdb("select", "--amount", "0.3", "--rest", "unannotated", stdin=given)
    assert ids(done) == ids(dropped)
    sessions = [r for r in done.records if r["kind"] == "session" and r["split"] == "train"]
    assert [r["id"] for r in sessions] == [str(n) for n in range(10)]
    for own in sessions:
        assert own["shelf"] == 7 and len(own["items"]) == 3
        assert ("selected" in own) == ("bundles" in own) == ("category" in own["items"][0])
