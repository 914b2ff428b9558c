"""Small prediction records, `kdb eval` of them, and what it says."""

import msgspec

from kdb.records import Bundle, Prediction, Run

ITEMS = ["a", "b", "c", "d"]
TRUTH = [["a", "b"], ["c", "d"]]


def bundles(ids: list[str], intent: str = "") -> list[Bundle]:
    return [Bundle(list(one), intent) for one in ids]


def prediction(session: int, predicted: list[str], run: str = "r", **fields: object) -> Prediction:
    given = {"domain": "shop", "items": ITEMS, "status": "ok", "truth": bundles(TRUTH), **fields}
    return Prediction(id=str(session), bundles=bundles(predicted), run=run, **given)


def lines(*records: object) -> bytes:
    return b"".join(msgspec.json.encode(record) + b"\n" for record in records)


def metrics(result, run: str = "r", protocol: str = "strict", **by: str) -> dict:
    assert result.code == 0, result.stderr
    wanted = (run, protocol, by)
    (found,) = [
        r for r in result.records if r["kind"] == "metric" and (r["run"], r["protocol"], r["slice"]) == wanted
    ]
    return found


def of_kind(result, kind: str) -> list[dict]:
    assert result.code == 0, result.stderr
    return [r for r in result.records if r["kind"] == kind]


def table(kdb, *argv: object, stdin: bytes = b"") -> list[str]:
    result = kdb("eval", "--format", "table", *argv, stdin=stdin)
    assert result.code == 0, result.stderr
    return [line.rstrip() for line in result.stdout.splitlines()]


def run(identity: str, **settings: object) -> Run:
    return Run(id=identity, command="infer", settings=settings)


def student(identity: str, **settings: object) -> Run:
    return run(identity, student="models/small", **settings)


GOOD, HALF, WRONG = ["ab", "cd"], ["ab"], ["ac"]


def comparisons(result, family: str) -> dict[tuple[str, str], dict]:
    found = [c for c in of_kind(result, "comparison") if c["protocol"] == "strict" and c["family"] == family]
    return {tuple(c["runs"]): c for c in found}
