"""The errors that a user sees: one line each, with an exit code and, where there is one, a remedy."""


class KdbError(Exception):
    """Data or a run failed (exit code 1).

    `message` says what is wrong and where; `hint` says what to do about it.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(KdbError):
    """The command was called wrongly (exit code 2)."""

    exit_code = 2
