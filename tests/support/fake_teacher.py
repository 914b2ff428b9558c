"""A small OpenAI-compatible server on loopback that knows the answers and misbehaves on demand.

`python tests/fake_teacher.py --latency 0.1` serves until it is killed, and prints its
port, then the moment of its first answer.
"""

import argparse
import asyncio
import contextlib
import hashlib
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n"
RULES = [
    "Put chargers and the devices that they charge into one bundle.",
    "Do not put chargers and the devices that they charge into one bundle.",
    "Put a charger and the device that it charges into one bundle.",
    "Keep products of different hobbies in different bundles.",
]


def reply(body: dict) -> str:
    """What a teacher that knows the truth says: by the form that the last question asks for."""
    question = body["messages"][-1]["content"]
    if question.startswith("Products:"):
        return student(body)
    first = body["messages"][1]["content"]
    if '{"causes"' in question:
        return json.dumps({"causes": ["I looked at brands."]})
    if '{"rules"' in question:
        number = int(hashlib.sha256(first.encode()).hexdigest(), 16)
        return json.dumps({"rules": [RULES[number % len(RULES)]]})
    if '{"naturalness"' in first:
        return json.dumps(rating(first))
    if '{"items"' in first:
        return json.dumps(thought(first))
    if "in two to eight words" in question:
        return json.dumps(label(question))
    return json.dumps({"bundles": [{"products": [1, 99], "intent": "a guess"}]})


def label(question: str) -> dict:
    """The two products whose titles come first, in whatever order they are listed."""
    titles = re.findall(r"(?m)^(\d+)\. (.*)$", question)
    first = sorted(titles, key=lambda entry: entry[1])[:2]
    return {"bundles": [{"products": [int(number) for number, _ in first], "intent": "to be first"}]}


def student(body: dict) -> str:
    """What a student says: the first two products, in the form that it is held to, or else asked for."""
    if "labels" in body["model"]:
        return "1A 2A"
    if "json_schema" in body.get("response_format", {}):
        return json.dumps({"bundles": [{"products": [2, 1, 2], "intent": "a guess"}]})
    return "<think>[1, 3]?</think>\n\n[1, 2] a guess"


def rating(question: str) -> dict:
    """A naturalness that depends on the length of the intent, and the middle of the other scales."""
    intent = re.search(r"<intent>\n(.*)\n</intent>", question)[1]
    return {"naturalness": 1 + len(intent) % 5, "coverage": 3, "motivation": 3}


def thought(question: str) -> dict:
    """The thought that leads to the bundles that the question states."""
    stated = [([int(n) for n in a.split(", ")], b) for a, b in re.findall(r"(?m)^- ([\d, ]+) \((.*)\)$", question)]
    products = sorted({n for numbers, _ in stated for n in numbers})
    return {
        "items": [{"product": n, "information": "It is useful."} for n in products],
        "intents": [{"intent": intent, "reason": "They serve it."} for _, intent in stated],
        "bundles": [{"intent": intent, "products": numbers} for numbers, intent in stated],
    }


USAGE = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}


def completion(text: object, finish_reason: str = "stop", model: str = "", usage: object = USAGE, **more) -> bytes:
    """A chat completion of 100 prompt and 50 completion tokens; `more` stands in its message."""
    message = {"role": "assistant", "content": text, **more}
    choice = {"index": 0, "message": message, "finish_reason": finish_reason}
    whole = {"id": "1", "object": "chat.completion", "created": 1, "choices": [choice]}
    return json.dumps({**whole, "model": model, "usage": usage}).encode()


def events(body: dict, text: str) -> bytes:
    """The same as a stream of events: the text in two parts, then the usage alone."""
    half = len(text) // 2
    head = {"model": body["model"], "usage": None}
    parts = [{"choices": [{"index": 0, "delta": {"content": part}}], **head} for part in (text[:half], text[half:])]
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], **head}
    said = [*parts, end, {"choices": [], "usage": USAGE}]
    return b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in said) + b"data: [DONE]\n\n"


def draft(body: dict) -> str:
    """A wrong answer, as it is thought aloud."""
    return json.dumps({"items": [], "intents": [], "bundles": [{"intent": "draft", "products": [1, 2, 3]}]})


SCORED = {787: " no", 9805: " yes"}
"""Tokens of the packaged tokenizer."""


def scored(body: dict) -> bytes:
    """How probable the token is that a bias makes the likeliest: the less, the longer the prompt is."""
    text = SCORED[int(next(iter(body["logit_bias"])))]
    logprobs = {"tokens": [text], "token_logprobs": [-0.1 - len(text + body["prompt"]) % 7]}
    return json.dumps({"model": body["model"], "choices": [{"text": text, "logprobs": logprobs}]}).encode()


def page(body: bytes, kind: bytes = b"application/json") -> bytes:
    return OK % (kind, len(body)) + body


def answer(body: dict, text: object = None, finish_reason: str = "stop", **more) -> bytes:
    """The right answer, or another text, by the model that was asked for."""
    return page(
        completion(reply(body) if text is None else text, finish_reason, **{"model": body["model"], **more})
    )


def status(code: int, body: bytes, headers: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %d Fault\r\ncontent-type: application/json\r\ncontent-length: %d\r\n" % (
        code,
        len(body),
    )
    return head + headers + b"\r\n" + body


def error(message: str, param: str | None = None) -> bytes:
    return json.dumps({"error": {"message": message, "type": "fault", "param": param}}).encode()


FAULTS: dict[str, Callable[[dict], bytes | None]] = {
    "429": lambda body: status(429, error("slow down"), b"retry-after: 1\r\n"),
    "500": lambda body: status(500, error("it broke")),
    "401": lambda body: status(401, error("Incorrect API key provided: sk-secret-of-mine")),
    "404": lambda body: status(404, error("no such model")),
    "400": lambda body: status(400, error("this model's maximum context length is 10 tokens")),
    "close": lambda body: answer(body)[:-20],
    "hang": lambda body: None,
    "broken": lambda body: page(b'{"choices": [{"mess'),
    "empty": lambda body: page(b'{"choices": []}'),
    "null": lambda body: page(completion(None, model=body["model"])),
    "error": lambda body: answer(body, "", "error"),
    "content_filter": lambda body: answer(body, "half", "content_filter"),
    "refusal": lambda body: answer(body, "", refusal="I will not speak of shops."),
    "sorry": lambda body: answer(body, "I'm sorry, but I cannot help with that."),
    "blank": lambda body: answer(body, " \n"),
    "reasoning": lambda body: answer(body, "", reasoning_content="Let me think"),
    "open think": lambda body: answer(body, f"<think>\n{draft(body)}"),
    "error 200": lambda body: page(error("upstream quota exhausted")),
    "closing think": lambda body: answer(body, f"{draft(body)} no.\n</think>\n\n{reply(body)}"),
    "chunks": lambda body: answer(body, [{"type": "text", "text": reply(body)[:9]}, {"text": reply(body)[9:]}]),
    "fences": lambda body: answer(body, f"Sure:\n```json\n{reply(body)}\n```\n"),
    "null usage": lambda body: answer(body, usage={"prompt_tokens": None, "completion_tokens": None}),
    "fractional": lambda body: answer(body, usage={"prompt_tokens": 100.0, "completion_tokens": 49.5}),
    "no usage": lambda body: answer(body, usage=None),
    "other model": lambda body: answer(body, model="tiny-fallback-1b"),
    "dated model": lambda body: answer(body, model=body["model"] + "-2024-07-18"),
    "events": lambda body: page(events(body, reply(body)), b"text/event-stream"),
    "only streams": lambda body: (
        page(events(body, reply(body)), b"text/event-stream")
        if body.get("stream")
        else status(400, error("This model can only be used with stream=true"))
    ),
    "temperature": lambda body: refuse(body, "temperature", "only the default is supported", param="temperature"),
    "too long": lambda body: status(400, error("the prompt is too long: seeds and temperatures do not matter")),
    "cut": lambda body: answer(body, reply(body)[:25], "length"),
    "html": lambda body: page(b"<html><body>Welcome</body></html>", b"text/html"),
    "response_format": lambda body: refuse(body, "response_format"),
    "llama-cpp-python": lambda body: (
        status(
            500, error("1 validation error: {'loc': ('body', 'response_format', 'type'), 'input': 'json_schema'}")
        )
        if body.get("response_format", {}).get("type") == "json_schema"
        else answer(body)
    ),
    "seed": lambda body: refuse(body, "seed"),
    "max_tokens": lambda body: refuse(body, "max_tokens", "use 'max_completion_tokens'"),
    "structured_outputs": lambda body: refuse(body, "structured_outputs"),
    "grammar": lambda body: refuse(body, "structured_outputs", also="guided_grammar"),
    "all": lambda body: refuse(body, "structured_outputs", also="guided_grammar response_format"),
    "first two": lambda body: answer(body, '{"bundles": [{"products": [2, 1], "intent": "a guess"}]}'),
    "short": lambda body: answer(body, reply(body)[:25], "length") if body["max_tokens"] < 2000 else answer(body),
}
"""By name, what goes out in place of an answer; None: nothing ever does."""


def refuse(body: dict, name: str, advice: str = "", also: str = "", param: str | None = None) -> bytes:
    """An error as long as a parameter is there, or one of those `also` named."""
    for refused in (name, *also.split()):
        if refused in body:
            said = advice if param else f"Unsupported parameter: '{refused}'. {advice}"
            return status(400, error(said, param))
    return answer(body)


@dataclass
class FakeTeacher:
    """Serves with a latency; the first `times` requests meet the fault. `answered` counts request bodies."""

    fault: str = ""
    times: int = 0
    latency: float = 0.0
    trickle: float = 0.0
    answered: Counter[str] = field(default_factory=Counter)
    received: list[dict] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    keep: bool = True
    first_answer: float = 0.0
    tasks: list[object] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.append(asyncio.current_task())  # asyncio itself forgets who serves a lost connection
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                size = int(re.search(rb"content-length: (\d+)", head.lower())[1])
                raw = await reader.readexactly(size)
                self.keys.add(re.search(r"(?i)authorization: (.*)\r", head.decode())[1])
                body = json.loads(raw)
                if self.keep:
                    self.received.append(body)
                await asyncio.sleep(self.latency)
                out, closes = self.respond(body)
                if out is None:
                    await asyncio.sleep(3600)
                    return
                if self.trickle:  # a blank now and then keeps the connection alive
                    head, out = out.split(b"\r\n\r\n", 1)
                    writer.write(re.sub(rb"content-length: \d+", b"transfer-encoding: chunked", head) + b"\r\n\r\n")
                    for _ in range(60):
                        writer.write(b"1\r\n \r\n")
                        await writer.drain()
                        await asyncio.sleep(self.trickle)
                    return
                writer.write(out)
                await writer.drain()
                if closes:
                    break
                if not self.first_answer:
                    self.first_answer = time.monotonic()
                    self.announce(self.first_answer)
                if self.keep and out.startswith(b"HTTP/1.1 200"):
                    self.answered[hashlib.sha256(raw).hexdigest()] += 1
        writer.close()

    def announce(self, moment: float) -> None:
        """Tell the moment of the first answer to who started this process."""
        if not self.keep:
            print(moment, flush=True)

    def respond(self, body: dict) -> tuple[bytes | None, bool]:
        if "prompt" in body:
            return page(scored(body)), False
        if self.times == 0:
            return answer(body), False
        self.times -= 1
        return FAULTS[self.fault](body), self.fault == "close"


_PORTS: dict[object, int] = {}


@contextlib.contextmanager
def running(teacher: FakeTeacher, place: object = None) -> Iterator[str]:
    """The address of the teacher while it serves from a thread; the same one for the same `place`."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(teacher.serve, "127.0.0.1", _PORTS.get(place, 0)))
    if place is not None:
        _PORTS[place] = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        loop.call_soon_threadsafe(server.close)
        asyncio.run_coroutine_threadsafe(stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def stop() -> None:
    """Cut off whoever still waits for an answer."""
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.sleep(0)


async def forever(teacher: FakeTeacher) -> None:
    server = await asyncio.start_server(teacher.serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, default=0.0)
    asyncio.run(forever(FakeTeacher(latency=parser.parse_args().latency, keep=False)))
