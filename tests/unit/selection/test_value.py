"""The strategy `value`: rules by what they were measured to be worth, sessions by the rules drawn from them."""

import msgspec
from support.command_line import run_kdb

from kdb.records import Item, Knowledge, Session, Source


def rule(name: str, value: float | None, *sessions: str) -> Knowledge:
    made = Knowledge(id=name, format="rule", domain="d", text=name, source=Source(sessions=list(sessions)))
    if value is not None:
        made.value = value
    return made


RECORDS = [
    *(Session(id=i, domain="d", items=[Item("a", "A"), Item("b", "B")], split="train") for i in "123"),
    rule("low", 0.1, "1"),
    rule("unknown", None, "2"),
    rule("high", 0.5, "2", "3"),
    rule("middle", 0.3, "3"),
]


def chosen(*options: str, records: list = RECORDS) -> list[str]:
    stdin = b"".join(msgspec.json.encode(record) + b"\n" for record in records)
    done = run_kdb("select", "--strategy", "value", *options, stdin=stdin)
    assert done.code == 0, done.stderr
    return [record["id"] for record in done.records if "selected" in record]


def test_rules_are_taken_by_their_value() -> None:
    assert chosen("--of", "knowledge", "--amount", "2") == ["high", "middle"]
    assert chosen("--of", "knowledge", "--amount", "3") == ["low", "high", "middle"]


def test_sessions_are_taken_by_the_rules_drawn_from_them() -> None:
    assert chosen("--amount", "1") == ["3"]
    assert chosen("--amount", "2") == ["2", "3"]


def test_without_a_value_there_is_nothing_to_go_by() -> None:
    stdin = b"".join(msgspec.json.encode(record) + b"\n" for record in RECORDS[:3])
    done = run_kdb("select", "--strategy", "value", stdin=stdin)
    assert done.code == 1 and "no knowledge in the stream has a value" in done.stderr
