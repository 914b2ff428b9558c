"""A server of log probabilities: a real model read by Transformers, which answers as several programs do."""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

PROGRAMS = ("vllm", "llama-cpp-python", "echo", "biased")
"""The third ignores a bias, the fourth gives log probabilities after it; both echo."""


@dataclass
class LogProbModel:
    """What a program does with a completion request; `fault` is what it does instead, see `reply`."""

    folder: Path
    program: str = "vllm"
    fault: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    fails_after: int = 10**9

    def __post_init__(self) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.tokenizer = AutoTokenizer.from_pretrained(self.folder)
        self.model = AutoModelForCausalLM.from_pretrained(self.folder)
        self.lock = threading.Lock()

    def reply(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.asked.append(body)
        if len(self.asked) > self.fails_after or self.fault == "unsupported":
            return 500, {"error": {"message": "logprobs is not supported for models created with logits_all=False"}}
        if self.program == "llama-cpp-python" and not isinstance(body["prompt"], str):
            return 422, {"detail": [{"loc": ["body", "prompt"], "msg": "Input should be a valid string"}]}
        found = self.complete(body)
        if self.fault == "none":
            found["logprobs"] = None
        usage = {"prompt_tokens": self.count + (self.fault == "begin"), "completion_tokens": 1}
        return 200, {"model": body["model"], "choices": [{"text": "", **found}], "usage": usage}

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        import torch

        ids = body["prompt"]
        if isinstance(ids, str):
            ids = self.tokenizer(ids, add_special_tokens=False)["input_ids"]
        self.count = len(ids)
        with torch.no_grad():
            logits = self.model(torch.tensor([ids])).logits[0].double()
        bias = torch.zeros_like(logits[-1])
        if self.program != "echo" and self.fault != "unbiased":
            for token, value in body.get("logit_bias", {}).items():
                bias[int(token)] = value
        written = int((logits[-1] + bias).argmax())
        if self.program == "biased":
            logits[-1] += bias
        own = logits.log_softmax(-1)
        tokens, values = [written], [own[-1, written]]
        if body.get("echo") and self.fault not in ("unechoed", "unbiased"):
            if self.program == "llama-cpp-python":  # one late: how likely a token is after itself
                tokens, values = ids, [None, *(own[n, ids[n]] for n in range(1, len(ids)))]
            else:
                read = (own[n - 1, ids[n]] for n in range(1, len(ids)))
                tokens, values = [*ids, written], [None, *read, *values]
        texts = [self.tokenizer.decode([token], clean_up_tokenization_spaces=False) for token in tokens]
        numbers = [None if value is None else float(value) for value in values]
        return {"logprobs": {"tokens": texts, "token_logprobs": numbers, "top_logprobs": None}}


@contextlib.contextmanager
def logprobs_served(model: LogProbModel) -> Iterator[str]:
    """The address of a server of the model."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            found: tuple[int, dict[str, Any]] = 404, {"error": {"message": f"no {self.path} here"}}
            if self.path == "/v1/completions" and model.fault != "chat":
                with model.lock:
                    found = model.reply(body)
            out = b"<html>" if model.fault == "page" else json.dumps(found[1]).encode()
            self.send_response(found[0])
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
