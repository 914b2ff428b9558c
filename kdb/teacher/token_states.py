"""A server that gives a vector for each token of a text: what a student that only reads needs of one.

vLLM has it as a pooling task, llama.cpp's server and llama-cpp-python's as embeddings that nothing pools. The form
that answers first is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import msgspec
import numpy as np
from numpy.typing import NDArray

from kdb.errors import KdbError
from kdb.teacher.config import TeacherConfig
from kdb.teacher.openai_server import address, open_client, without_secrets

States = NDArray[np.float32]
"""(tokens, size)"""

Form = tuple[str, dict[str, Any]]
FORMS: tuple[Form, ...] = (
    ("{root}/pooling", {"task": "token_embed", "add_special_tokens": False}),
    ("{root}/embeddings", {}),
    ("{base}/embeddings", {}),
)
"""Where each server is asked, and with what beside `model` and `input`: vLLM, llama.cpp, llama-cpp-python."""
HINT = "start llama.cpp's server with --embeddings --pooling none, or vLLM with --runner pooling"


class TokenStateServer:
    """Asks a server for the states of the tokens of texts."""

    def __init__(self, config: TeacherConfig) -> None:
        url = address(config.teacher)
        self.name, self.config = without_secrets(url), config
        parts = urlsplit(url)
        self._places = {"base": f"{parts.scheme}://{parts.netloc}{parts.path}"}
        self._places["root"] = f"{parts.scheme}://{parts.netloc}{parts.path.removesuffix('/v1')}"
        self._client = open_client(url, config.timeout)
        self._form: Form | None = None

    def states(self, texts: Sequence[str]) -> list[States]:
        """The states of the tokens of each text; KdbError where the server does not give them."""
        self._form = self._form or self._first_form(texts[0])
        form = self._form
        try:
            with ThreadPoolExecutor(self.config.concurrency) as pool:
                return list(pool.map(lambda text: self._ask(form, text, self.config.retries), texts))
        except _Refused as error:
            raise KdbError(f"{self.name} {error.message}", error.hint) from None

    def _first_form(self, text: str) -> Form:
        """The form in which the server gives what is needed."""
        refused = []
        for form in FORMS:
            try:
                self._ask(form, text, retries=0)
            except _Refused as error:
                refused.append(f"{urlsplit(form[0].format(**self._places)).path} {error.message}")
            else:
                return form
        raise KdbError(f"{self.name} gives no vector a token: {'; '.join(refused)}", HINT)

    def _ask(self, form: Form, text: str, retries: int) -> States:
        import openai

        path, more = form
        body = {"model": self.config.model, "input": text, **more}
        client = self._client.with_options(max_retries=retries)
        try:
            reply = client.post(path.format(**self._places), body=body, cast_to=str)
        except openai.APIStatusError as error:
            if error.status_code in (401, 403):
                raise KdbError(f"{self.name}: {error.status_code}", "check the key in KDB_TEACHER_KEY") from None
            raise _Refused(f"answers {error.status_code}: {_line(error.response.text)}") from None
        except openai.APITimeoutError:
            raise KdbError(f"{self.name} gave no answer within {self.config.timeout:g} s") from None
        except openai.APIConnectionError as error:
            hint = "is the server running, and is the address right?"
            raise KdbError(f"{self.name} cannot be reached: {error.__cause__ or error}", hint) from None
        return token_states(reply)


class _Refused(KdbError):
    """The server does not know this form, or answers otherwise."""


def token_states(reply: str) -> States:
    """The states in the body of a reply; KdbError where it holds none, or one vector for all tokens."""
    try:
        found = msgspec.json.decode(reply)
        [entry] = found["data"] if isinstance(found, dict) else found
        states = np.array(entry["embedding" if "embedding" in entry else "data"], dtype=np.float32)
    except (ValueError, TypeError, KeyError):
        raise _Refused("answers in another form") from None
    if states.ndim == 1:
        raise _Refused("gives one vector for the whole text")
    if states.ndim != 2 or not states.size or not np.isfinite(states).all():
        raise _Refused("gives vectors that are none")
    return states


def _line(text: str) -> str:
    return " ".join(text.split())[:200]
