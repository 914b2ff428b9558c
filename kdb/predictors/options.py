"""Who is to predict and how, as the command line has it, and what an adapter says about that."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
from msgspec import structs

from kdb.errors import UsageError
from kdb.retrieval.config import ContextConfig
from kdb.student.config import AskedConfig, MethodConfig, StudentConfig, config_folder, settings
from kdb.student.generation_config import GenerationConfig
from kdb.teacher.config import TeacherConfig


@dataclass
class InferOptions:
    """Who predicts and how.

    `given` names the settings that were asked for: beside an adapter, `context` and the utility count only where
    they were. With a `server`, that has the student, and only a configuration of `student` or `adapter` is read.
    """

    student: str = ""
    adapter: Path | None = None
    baseline: str = ""
    server: TeacherConfig | None = None
    method: MethodConfig = field(default_factory=AskedConfig)
    context: ContextConfig = field(default_factory=ContextConfig)
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    given: Collection[str] = ()
    batch_size: int = 16
    precision: str = "auto"
    device: str = ""

    @property
    def metadata(self) -> Path | None:
        """The folder with the configuration of the adapter or of a merged student; None where there is none."""
        return config_folder(self.student, self.adapter)

    @property
    def kb_context(self) -> ContextConfig:
        """What is taken of a knowledge base: as an adapter was trained, where there is one."""
        return self.context if self.baseline else self.config.context

    @cached_property
    def config(self) -> StudentConfig:
        """The configuration that the student was trained with, or one without training; it is read once."""
        if self.metadata is None:
            return StudentConfig(student=self.student, method=self.method, context=self.context)
        from kdb.student.methods.build import answer_class, read_config

        config = read_config(self.metadata)
        free = {"utility"} if answer_class(config.method).has_intents else {"utility", "intents"}
        self._refuse_changes(config.method, free)
        given = [name for name in ContextConfig.__struct_fields__ if name in self.given]
        config.context = structs.replace(config.context, **{name: getattr(self.context, name) for name in given})
        for name in free & set(self.given):
            setattr(config.method, name, getattr(self.method, name))
        # The base may have moved: whether it is the same is checked by its hash.
        if self.adapter is None or "student" in self.given:
            config.student = self.student
        return config

    def _refuse_changes(self, trained: MethodConfig, free: Collection[str]) -> None:
        """UsageError where another method is asked for than the student was trained with, but for `free`."""
        for name in MethodConfig.__struct_fields__:
            asked, own = getattr(self.method, name), getattr(trained, name)
            if name in self.given and name not in free and asked != own:
                raise UsageError(
                    f"{name} is {asked}, but {self.metadata} was trained with {own}",
                    f"leave out --{name.replace('_', '-')}, or train another adapter",
                )


def student_settings(options: InferOptions, config: StudentConfig) -> dict[str, Any]:
    """The settings of a student, wherever it is."""
    from kdb.student import adapter
    from kdb.student.methods.build import prompt_hash

    folder = options.metadata
    generation: dict[str, Any] = msgspec.to_builtins(options.generation)
    generation.pop("seed")
    return {
        **settings(config),
        **generation,
        "prompt_hash": prompt_hash(config),
        "adapter": adapter.identity(options.adapter or Path(options.student)) if folder else "",
        "trained": adapter.training_facts(folder) if folder else {},
    }
