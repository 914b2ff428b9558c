"""A server of token states: a real model read by Transformers, behind the forms of three programs."""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PLACES = {"vllm": "/pooling", "llama.cpp": "/embeddings", "llama-cpp-python": "/v1/embeddings"}


@contextlib.contextmanager
def states_served(folder: Path, form: str, fault: str = "") -> Iterator[str]:
    """The address of a server with the model of this folder; `fault` is pooled, extra (a token more) or broken."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    lock = threading.Lock()

    def states(text: str) -> list[list[float]]:
        with lock, torch.inference_mode():
            ids = torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"] + [5] * (fault == "extra")])
            # Servers may bring states to unit length; nothing depends on it.
            found = torch.nn.functional.normalize(model.base_model(ids).last_hidden_state[0].float(), dim=-1)
            return found.mean(0).tolist() if fault == "pooled" else found.tolist()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            if self.path != PLACES[form] or (form == "vllm") != ("task" in body):
                return self.reply(404, {"error": "no such place"})
            entry = {"index": 0, "data" if form == "vllm" else "embedding": states(body["input"])}
            if fault == "broken":
                entry = {"index": 0}
            self.reply(200, [entry] if form == "llama.cpp" else {"data": [entry]})

        def reply(self, code: int, found: object) -> None:
            out = json.dumps(found).encode()
            self.send_response(code)
            self.send_header("content-length", str(len(out)))
            self.end_headers()
            self.wfile.write(out)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
