"""Bundles over HTTP: POST a session record, and its prediction comes back. One `kdb infer` answers all requests.

    KDB_INFER="--adapter adapter" uvicorn --app-dir samples/http service:app

KDB_INFER holds options of `kdb infer`, which runs beside the service as a co-process: a line in, a line out, in
order. A body that is no session is answered with 400 and never reaches it. If it ends, so does the service.
"""

import asyncio
import os
import shlex
import signal
import sys
from asyncio.subprocess import PIPE
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from kdb.records import Session

LONGEST_LINE = 1 << 26


@asynccontextmanager
async def co_process(app: Starlette) -> AsyncIterator[None]:
    options = shlex.split(os.environ.get("KDB_INFER", ""))
    argv = [sys.executable, "-m", "kdb", "infer", "--window", "1", *options]
    kdb = await asyncio.create_subprocess_exec(*argv, stdin=PIPE, stdout=PIPE, limit=LONGEST_LINE)
    if not await kdb.stdout.readline():  # the `run` record, once the model is loaded
        raise RuntimeError("kdb infer did not start")
    app.state.kdb, app.state.waiting = kdb, deque[asyncio.Future[bytes]]()
    reading = asyncio.create_task(read(app))
    yield
    reading.cancel()
    kdb.stdin.close()
    await kdb.wait()


async def read(app: Starlette) -> None:
    """Hand each answer to the request that has waited longest."""
    async for line in app.state.kdb.stdout:
        if app.state.waiting:  # the last line, `end`, has no request
            app.state.waiting.popleft().set_result(line)
    for request in app.state.waiting:
        request.set_result(b"")
    os.kill(os.getpid(), signal.SIGTERM)


async def predict(request: Request) -> Response:
    try:
        session = msgspec.json.decode(await request.body(), type=Session)
    except (ValueError, RecursionError) as error:
        return PlainTextResponse(str(error), 400)
    answer = asyncio.get_running_loop().create_future()
    app.state.waiting.append(answer)
    app.state.kdb.stdin.write(msgspec.json.encode(session) + b"\n")
    line = await answer
    return Response(line, media_type="application/json") if line else PlainTextResponse("kdb infer ended", 503)


app = Starlette(routes=[Route("/predict", predict, methods=["POST"])], lifespan=co_process)
