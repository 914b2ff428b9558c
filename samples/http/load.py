"""How long clients wait for a service: the median and the 99th percentile at 1, 8 and 32 clients, as a table.

    python samples/http/load.py HOST:PORT SESSIONS.jsonl REQUESTS

Each client sends its share of the requests, one after the other over one connection. Up to two minutes are waited
for the service; requests to warm up are not counted.
"""

import http.client
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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


def main(address: str, sessions: str, requests: str) -> None:
    lines = Path(sessions).read_bytes().splitlines()
    bodies = [lines[n % len(lines)] for n in range(int(requests))]
    wait_for(address, bodies[0])
    print("| clients | p50 ms | p99 ms | sessions a second |", "|---|---|---|---|", sep="\n")
    for clients in CLIENTS:
        began = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            parts = pool.map(lambda n, clients=clients: seconds(address, bodies[n::clients]), range(clients))
            waited = [1000 * own for part in parts for own in part]
        rate = len(waited) / (time.perf_counter() - began)
        median, last = np.percentile(waited, [50, 99])
        print(f"| {clients} | {median:.1f} | {last:.1f} | {rate:.1f} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
