"""Plans, budgets, prices and batch files: what is said to be sent is sent, and nothing is paid for twice."""

import json
from pathlib import Path

import msgspec
import pytest
from support.command_line import Result, run_kdb
from support.fake_teacher import FakeTeacher, completion, reply, running

from kdb.errors import UsageError
from kdb.records import Usage
from kdb.teacher.prices import Prices

COST = 100 * 0.15e-6 + 50 * 0.60e-6
"""What an answer of the fake teacher costs at the price of gpt-4o-mini."""


@pytest.fixture
def train(samples: Path, tmp_path: Path) -> Path:
    lines = [line for line in (samples / "sessions.jsonl").open("rb") if b'"split":"train"' in line]
    file = tmp_path / "train.jsonl"
    file.write_bytes(b"".join(lines[:12]))
    return file


def extract(command: str, train: Path, server: FakeTeacher, *more: object) -> Result:
    with running(server, train.parent) as url:
        options = ["--teacher", url, "--model", "gpt-4o-mini", "--cache", train.parent / "cache", *more]
        return run_kdb("extract", command, train, *options)


def knowledge(result: Result) -> list[dict]:
    return [record for record in result.records if record["kind"] == "knowledge"]


@pytest.mark.parametrize(("command", "each"), [("rule", 3), ("thought", 1), ("correction", 1)])
def test_plan_sends_nothing_and_is_what_is_then_sent(command: str, each: int, train: Path) -> None:
    more = ["--tries", "1"] if command == "thought" else []
    server = FakeTeacher()
    [plan] = extract(command, train, server, "--dry-run", *more).records
    assert server.received == []
    assert (plan["kind"], plan["measured"]["sessions"], plan["measured"]["requests"]) == ("run", 12, 12 * each)
    extract(command, train, server, *more)
    assert len(server.received) == 12 * each
    [plan] = extract(command, train, FakeTeacher(), "--dry-run", *more).records
    assert (plan["measured"]["requests"], plan["measured"]["cost"]) == (0, 0)


def test_plan_counts_every_try_of_a_thought_as_the_most(train: Path) -> None:
    [plan] = extract("thought", train, FakeTeacher(), "--dry-run", "--tries", "3", "--sessions", "5").records
    assert plan["measured"]["purposes"] == {"thought": 5, "thought again": 10}


def test_plan_of_a_run_half_done_counts_the_rest(train: Path) -> None:
    extract("rule", train, FakeTeacher(), "--sessions", "4")
    [plan] = extract("rule", train, FakeTeacher(), "--dry-run").records
    assert plan["measured"]["requests"] == 8 * 3
    # Ten lines of answers by the same teacher say better than a guess how long the next will be.
    assert plan["measured"]["completion_tokens"] == 8 * 3 * 50


def test_budget_stops_cleanly_and_the_next_run_goes_on(train: Path) -> None:
    server = FakeTeacher(latency=0.02)
    stopped = extract("thought", train, server, "--budget", 10 * COST, "--concurrency", "3")
    assert stopped.code == 1
    assert len(server.received) == 10  # the first alone, as its length is only guessed, then three at a time
    assert "is spent" in stopped.stderr.splitlines()[-1]
    assert len(knowledge(stopped)) == len(server.received)
    assert [r["kind"] for r in stopped.records].count("session") == 12
    rest = FakeTeacher()
    finished = extract("thought", train, rest)
    assert (finished.code, len(knowledge(finished))) == (0, 12)
    assert len(rest.received) + len(server.received) == 12


@pytest.mark.parametrize("most", [0, 7])
def test_max_requests_is_exact(most: int, train: Path) -> None:
    server = FakeTeacher()
    result = extract("rule", train, server, "--max-requests", most)
    assert (result.code, len(server.received)) == (1, most)
    assert f"--max-requests {most} is reached" in result.stderr.splitlines()[-1]


def test_stopped_run_leaves_no_complete_output(train: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    assert extract("thought", train, FakeTeacher(), "--max-requests", 1, "-o", out).code == 1
    assert not out.exists()
    assert extract("thought", train, FakeTeacher(), "-o", out).code == 0
    assert out.exists()


def test_tokens_and_money_are_summed_on_stderr_and_on_records(train: Path) -> None:
    result = extract("thought", train, FakeTeacher())
    assert f"12 requests sent, 1,200 + 600 tokens, ${12 * COST:.4f}" in result.stderr
    assert {json.dumps(k["usage"]) for k in knowledge(result)} == {
        json.dumps({"prompt_tokens": 100, "completion_tokens": 50, "cost": 0.000045})
    }
    rules = knowledge(extract("rule", train, FakeTeacher()))
    assert sum(rule["usage"]["prompt_tokens"] for rule in rules) == 12 * 3 * 100
    assert sum(rule["usage"]["cost"] for rule in rules) == pytest.approx(12 * 3 * COST)


def test_budget_without_a_price_is_refused(train: Path) -> None:
    result = extract("thought", train, FakeTeacher(), "--budget", 1, "--model", "my-model")
    assert result.code == 2
    assert "no price is known for 'my-model'" in result.stderr


def test_own_prices_are_laid_over_the_table(tmp_path: Path) -> None:
    own = tmp_path / "prices.toml"
    own.write_text(
        '["gpt-4o-mini"]\nprompt = 1\ncompletion = 2\n\n["mine"]\nprompt = 0\ncompletion = 4\nbatch = 0.25\n'
    )
    prices = Prices(own)
    mini, mine = prices.find("gpt-4o-mini-2024-07-18"), prices.find("unknown", "mine")
    assert mini and mine
    assert mini.cost(Usage(1_000_000, 1_000_000)) == 3
    assert mine.cost(Usage(5, 1_000_000), batch=True) == 1
    assert prices.find("gpt-4o") == Prices().find("gpt-4o")
    assert prices.find("unknown") is None
    own.write_text("[x]\nprompt = 'a lot'\n")
    with pytest.raises(UsageError, match=r"prices\.toml: "):
        Prices(own)


def test_cached_and_reasoning_tokens_have_their_own_prices(tmp_path: Path) -> None:
    own = tmp_path / "prices.toml"
    own.write_text(
        '["m"]\nprompt = 2\ncached = 1\ncompletion = 10\nreasoning = 5\n["n"]\nprompt = 2\ncompletion = 10\n'
    )
    usage = Usage(1_000_000, 1_000_000, cached_tokens=500_000, reasoning_tokens=900_000)
    m, n = Prices(own).find("m"), Prices(own).find("n")
    assert m and n
    assert (m.cost(usage), n.cost(usage)) == (pytest.approx(0.5 * 2 + 0.5 * 1 + 0.1 * 10 + 0.9 * 5), 12)


def answers(requests: Path, results: Path, broken: int = 0) -> None:
    """Answer a batch as OpenAI would; the first so many requests fail."""
    lines = []
    for n, line in enumerate(requests.read_text().splitlines()):
        request = json.loads(line)
        body = json.loads(completion(reply(request["body"])))
        response = {"status_code": 500, "body": {}} if n < broken else {"status_code": 200, "body": body}
        lines.append(
            json.dumps({"id": f"r{n}", "custom_id": request["custom_id"], "response": response, "error": None})
        )
    results.write_text("\n".join(lines) + "\n")


def test_batches_give_in_rounds_what_a_server_gives(train: Path, tmp_path: Path) -> None:
    live = extract("rule", train, FakeTeacher(), "--cache", tmp_path / "live")
    server, counts = FakeTeacher(), []
    results: list[object] = []
    for number in range(5):
        requests = tmp_path / f"round{number}.jsonl"
        result = extract("rule", train, server, "--batch-out", requests, *results)
        if result.code == 0:
            break
        assert "requests are in" in result.stderr.splitlines()[-1]
        counts.append(len(requests.read_text().splitlines()))
        answers(requests, tmp_path / "results.jsonl", broken=2 if number == 0 else 0)
        results = ["--batch-in", tmp_path / "results.jsonl"]
    assert (counts, server.received) == ([12, 12, 12, 2], [])
    halved = [rule | {"usage": {**rule["usage"], "cost": rule["usage"]["cost"] / 2}} for rule in knowledge(live)]
    assert knowledge(result) == halved
    assert not requests.exists()


def test_batch_requests_are_what_a_server_is_sent(train: Path, tmp_path: Path) -> None:
    requests, server = tmp_path / "requests.jsonl", FakeTeacher()
    extract("thought", train, server, "--batch-out", requests)
    extract("thought", train, server)
    lines = [json.loads(line) for line in requests.read_text().splitlines()]
    assert {(line["method"], line["url"]) for line in lines} == {("POST", "/v1/chat/completions")}
    assert len({line["custom_id"] for line in lines}) == 12
    sent = sorted(json.dumps(body, sort_keys=True) for body in server.received)
    assert sorted(json.dumps(line["body"], sort_keys=True) for line in lines) == sent


def test_batch_file_is_not_overwritten_unasked(train: Path, tmp_path: Path) -> None:
    requests = tmp_path / "requests.jsonl"
    requests.write_text("precious")
    assert extract("thought", train, FakeTeacher(), "--batch-out", requests).code == 2
    assert requests.read_text() == "precious"
    assert extract("thought", train, FakeTeacher(), "--batch-out", requests, "--force").code == 1
    assert len(requests.read_text().splitlines()) == 12


@pytest.mark.parametrize(
    "line", ["not json", '{"response": null}', '{"custom_id":"x","response":{"status_code":200}}']
)
def test_bad_batch_result_is_named_by_line(line: str, train: Path, tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    failed = msgspec.json.encode({"custom_id": "k", "response": None, "error": {"code": "expired"}}).decode()
    results.write_text(f"{failed}\n{line}\n")
    result = extract("thought", train, FakeTeacher(), "--batch-in", results)
    assert result.code == 1
    assert f"{results}:2: " in result.stderr
