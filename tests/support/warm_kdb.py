"""`kdb` as a process that starts at once: a fork of one that has imported already what loads slowly.

Each call is the whole command line in a process of its own, with the streams, folder and environment of its caller.
Only the seconds of importing torch and what builds on it are saved, where many commands run one after the other.
"""

import contextlib
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from support.command_line import ROOT

SLOW = (
    "kdb.student.adapter",
    "peft",
    "sentence_transformers",
    "sklearn.cluster",
    "sklearn.linear_model",
    "transformers.models.bert.modeling_bert",
    "transformers.models.llama.modeling_llama",
    "xgrammar",
)
CALLER = """
import json, os, socket, sys
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
    server.connect(sys.argv[1])
    call = json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [call], [0, 1, 2])
    sys.exit(int(server.recv(16) or 1))
"""


@contextlib.contextmanager
def warm_kdb() -> Iterator[Path]:
    """The path of a program that stands for `kdb`."""
    # As `main` sets it, before the libraries that read it are imported.
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "TQDM_DISABLE": "1"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        address = f"{folder}/socket"  # which may have no more than 100 characters
        (folder / "call.py").write_text(CALLER)
        # Isolated and without site-packages, a caller starts in 20 ms.
        (folder / "kdb").write_text(f'#!/bin/sh\nexec "{sys.executable}" -IS "{folder}/call.py" {address} "$@"\n')
        (folder / "kdb").chmod(0o755)
        argv = [sys.executable, "-m", "support.warm_kdb", address]
        with subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE) as server:
            try:
                assert server.stdout and server.stdout.readline() == b"ready\n"
                yield folder / "kdb"
            finally:
                server.terminate()


def serve(address: str) -> None:
    """Fork for each call, until terminated."""
    from kdb.cli.main import main

    for name in SLOW:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that are done
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address)
        listener.listen(64)
        print("ready", flush=True)
        while True:
            caller, _ = listener.accept()
            with caller:
                if os.fork() == 0:
                    listener.close()
                    os._exit(_answer(caller, main))


def _answer(caller: socket.socket, main: Callable[[], None]) -> int:
    """Run a call to its end, in the process that was forked for it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    call, streams, _, _ = socket.recv_fds(caller, 1 << 20, 3)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w", 1)
    argv, folder, environment = json.loads(call)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["kdb", *argv]
    code = 1
    try:
        main()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    caller.send(str(code).encode())
    return code


if __name__ == "__main__":
    serve(sys.argv[1])
