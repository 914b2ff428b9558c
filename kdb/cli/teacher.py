"""What the commands that ask a teacher have in common: which of its options go together."""

from kdb.cli.options import Given
from kdb.teacher import BACKENDS
from kdb.teacher.config import TeacherConfig

SENDING = "budget max_requests batch_out batch_in"
ASKING = "model temperature seed extra_body max_tokens timeout retries concurrency rpm tpm prices cache"


def refuse_without_effect(given: Given, teacher: TeacherConfig) -> None:
    """UsageError where an option says how to ask, and nobody is asked so."""
    from kdb.teacher.client import backend_class

    if not backend_class(teacher).is_model:
        given.refuse(f"dry_run {ASKING} {SENDING}", f"--teacher {teacher.teacher}")
    if not teacher.is_server and teacher.teacher not in BACKENDS:
        given.refuse("model timeout extra_body", f"--teacher {teacher.teacher}, a model in this process")
    if teacher.dry_run:
        given.refuse("budget max_requests batch_out", "--dry-run")
    if teacher.batch_out:
        given.refuse("budget max_requests", "--batch-out")
