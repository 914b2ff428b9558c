"""How long clients wait for a service: the median and the 99th percentile at 1, 8 and 32 clients, as JSONL.

    python samples/http/load.py HOST:PORT SESSIONS.jsonl REQUESTS WHO >> load.jsonl
    python samples/http/load.py load.jsonl      prints the table of such rows

WHO is how the table calls what answers. Each client sends its share of the requests, one after the other over
one connection. Up to two minutes are waited for the service; requests to warm up are not counted.
"""

import http.client
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np

CLIENTS = (1, 8, 32)
WARM_UP, PATIENCE = 8, 120


def seconds(address: str, bodies: list[bytes]) -> list[float]:
    """How long each of these requests took."""
    connection = http.client.HTTPConnection(address, timeout=600)
    found = []
    for body in bodies:
        began = time.perf_counter()
        connection.request("POST", "/predict", body)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            sys.exit(f"{address}: status {answer.status}")
        found.append(time.perf_counter() - began)
    connection.close()
    return found


def wait_for(address: str, body: bytes) -> None:
    for _ in range(PATIENCE):
        try:
            seconds(address, [body] * WARM_UP)
            return
        except ConnectionError:
            time.sleep(1)
    sys.exit(f"{address}: nothing listens")


class Row(msgspec.Struct):
    """What so many clients at once found; times in milliseconds."""

    who: str
    clients: int
    p50: float
    p99: float
    sessions_a_second: float


def measure(address: str, sessions: str, requests: str, who: str) -> Iterator[Row]:
    """A row for each number of clients."""
    lines = Path(sessions).read_bytes().splitlines()
    bodies = [lines[n % len(lines)] for n in range(int(requests))]
    wait_for(address, bodies[0])
    for clients in CLIENTS:
        began = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            parts = pool.map(lambda n, clients=clients: seconds(address, bodies[n::clients]), range(clients))
            waited = [1000 * own for part in parts for own in part]
        rate = len(waited) / (time.perf_counter() - began)
        median, last = (round(float(value), 1) for value in np.percentile(waited, [50, 99]))
        yield Row(who, clients, median, last, round(rate, 1))


def table(rows: Iterable[Row]) -> str:
    """The rows as Markdown."""
    head = ["| who answers | clients | p50 ms | p99 ms | sessions a second |", "|---|---|---|---|---|"]
    return "\n".join(
        [*head, *(f"| {r.who} | {r.clients} | {r.p50} | {r.p99} | {r.sessions_a_second} |" for r in rows)]
    )


if __name__ == "__main__":
    if len(sys.argv) == 2:
        print(table(msgspec.json.Decoder(Row).decode_lines(Path(sys.argv[1]).read_bytes())))
    else:
        for row in measure(*sys.argv[1:]):
            print(msgspec.json.encode(row).decode(), flush=True)
