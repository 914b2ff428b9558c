"""The HTTP service of the samples gives the predictions of `kdb infer`, and says no to what is no session."""

import importlib.util
from pathlib import Path

import msgspec
import pytest

pytest.importorskip("starlette")
OPTIONS = "--baseline all-pairs"


@pytest.fixture
def client(samples: Path, monkeypatch):
    from starlette.testclient import TestClient

    spec = importlib.util.spec_from_file_location("service", samples / "http" / "service.py")
    service = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(service)
    monkeypatch.setenv("KDB_INFER", OPTIONS)
    with TestClient(service.app) as client:
        yield client


def test_each_session_has_its_prediction(kdb, samples: Path, client) -> None:
    lines = (samples / "sessions.jsonl").read_bytes().splitlines()[:5]
    done = kdb("infer", "-", *OPTIONS.split(), stdin=b"\n".join(lines))
    spread_out = msgspec.json.format(lines[0], indent=2)  # a body of several lines is one session
    answers = [client.post("/predict", content=line) for line in (spread_out, *lines[1:])]
    assert {answer.status_code for answer in answers} == {200}
    same = {"run": "", "seconds": 0}
    assert [{**answer.json(), **same} for answer in answers] == [{**r, **same} for r in done.records[1:-1]]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"kind": "note"}', b'{"kind": "session", "v": 2, "id": "1"}'])
def test_what_is_no_session_is_refused(samples: Path, client, body: bytes) -> None:
    refused = client.post("/predict", content=body)
    assert (refused.status_code, len(refused.text.splitlines())) == (400, 1)
    line = (samples / "sessions.jsonl").read_bytes().splitlines()[0]
    assert client.post("/predict", content=line).json()["kind"] == "prediction"
