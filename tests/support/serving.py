"""A real OpenAI-compatible server, `transformers serve` with the packaged student, behind a recorder."""

import asyncio
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from support.fake_teacher import stop


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def transformers_serve(model: str, log: Path) -> Iterator[int]:
    """The port of a server that answers with the model, in fp32: few processors compute in bf16."""
    port = free_port()
    options = ["--host", "127.0.0.1", "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    command = [str(Path(sys.executable).parent / "transformers"), "serve", model, *options]
    # Threads that wait actively would starve one another where the processors are busy with other things.
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    with log.open("wb") as file:
        server = subprocess.Popen(command, stdout=file, stderr=file, env=environment)
    try:
        _wait(f"http://127.0.0.1:{port}/health", server, log)
        yield port
    finally:
        server.kill()
        server.wait()


def _wait(url: str, server: subprocess.Popen, log: Path) -> None:
    for _ in range(1200):
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=10):
            return
        assert server.poll() is None, log.read_text()
        time.sleep(0.25)
    raise TimeoutError(log.read_text())


class Recorder:
    """Hands requests on to a server, and keeps their bodies in the order in which they came."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.received: list[dict] = []
        self.tasks: list[object] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.append(asyncio.current_task())  # asyncio itself forgets who serves a lost connection
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = re.search(rb"content-length: (\d+)", head.lower())
                body = await reader.readexactly(int(size[1]) if size else 0)
                self.received.append(json.loads(body))
                writer.write(await self._forward(head, body))
                await writer.drain()
        writer.close()

    async def _forward(self, head: bytes, body: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        writer.write(re.sub(rb"(?i)connection: keep-alive", b"connection: close", head) + body)
        answer = await reader.read()
        writer.close()
        return re.sub(rb"(?i)connection: close\r\n", b"", answer, count=1)


@contextlib.contextmanager
def recorded(port: int) -> Iterator[tuple[str, Recorder]]:
    """The address of a recorder before the server at this port, and the recorder."""
    loop, recorder = asyncio.new_event_loop(), Recorder(port)
    server = loop.run_until_complete(asyncio.start_server(recorder.serve, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", recorder
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
