"""The teacher that is no model: it answers what the annotations say, a baseline for real teachers."""

from __future__ import annotations

from kdb.errors import UsageError
from kdb.records import ANNOTATIONS, Usage
from kdb.teacher import Answer, Backend, Request


class AnnotationTeacher(Backend):
    """Knows the answer to whatever was asked about an annotated session."""

    is_model = False

    def ask(self, request: Request) -> Answer:
        """The reference; UsageError where a request has none, for no annotation answers it."""
        if request.reference is None:
            raise UsageError(f"the teacher {ANNOTATIONS!r} cannot {request.purpose}", "name a server or a model")
        return Answer(request.reference(), Usage(), model=ANNOTATIONS)
