"""Safetensors files, written and read with every fault of theirs as one line, and the hash of a model's weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdb.errors import KdbError

HINT = "train the adapter anew"
Shape = tuple[int, ...]
BLOCK = 1 << 24


def write_tensors(
    file: Path, arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str] | None = None
) -> None:
    """Write arrays for `read_tensors`, whatever their layout in memory.

    Safetensors takes the bytes of an array as they lie: one in Fortran order would come back transposed.
    """
    from safetensors.numpy import save_file

    contiguous = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
    save_file(contiguous, file, dict(metadata) if metadata else None)


def read_tensors(
    file: Path, wanted: Mapping[str, Shape | None], optional: Mapping[str, Shape | None] | None = None
) -> dict[str, NDArray[Any]]:
    """The arrays of these names, of these shapes where they matter; the `optional` ones where they are there.

    KdbError where the file is broken, holds others, or what is no number.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found = load_file(file)
    except (OSError, SafetensorError) as error:
        raise KdbError(f"{file}: {first_line(error)}", HINT) from None
    present = {name: shape for name, shape in (optional or {}).items() if name in found}
    check_shapes(file, {name: values.shape for name, values in found.items()}, {**wanted, **present})
    for name, values in found.items():
        if not np.isfinite(values).all():
            raise KdbError(f"{file}: {name} holds values that are no numbers", HINT)
    return found


def check_shapes(file: Path, found: Mapping[str, Shape], wanted: Mapping[str, Shape | None]) -> None:
    """KdbError where the names or the shapes of the tensors in a file are not those that are wanted."""
    hint = "it was made for another model, or by another method"
    missing, unknown = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    if missing or unknown:
        first = f"no tensor {missing[0]!r}" if missing else f"tensor {unknown[0]!r} fits nothing"
        count = f"{len(missing)} of {len(wanted)} are missing, {len(unknown)} fit nothing"
        raise KdbError(f"{file}: {first}; {count}", hint)
    for name, shape in wanted.items():
        if shape is not None and tuple(found[name]) != tuple(shape):
            raise KdbError(f"{file}: {name} is {tuple(found[name])}, not {tuple(shape)}", hint)


def weights_hash(folder: Path) -> str:
    """The first 16 hex digits of a hash of all tensors of a model folder by name, type, shape and bytes.

    It does not depend on how they are spread over files. Empty where the folder holds no safetensors file.
    """
    digests: dict[str, str] = {}
    for file in sorted(folder.glob("*.safetensors")):
        try:
            digests |= _digests(file)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise KdbError(f"{file}: not a safetensors file: {first_line(error)}", "download it again") from None
    lines = "\n".join(f"{name} {digests[name]}" for name in sorted(digests))
    return hashlib.sha256(lines.encode()).hexdigest()[:16] if digests else ""


def _digests(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size > path.stat().st_size:
            raise ValueError("the header is cut off")
        header = json.loads(file.read(size))
        header.pop("__metadata__", None)
        found = {}
        for name, tensor in header.items():
            first, last = tensor["data_offsets"]
            digest = hashlib.sha256(f"{tensor['dtype']} {tensor['shape']}".encode())
            file.seek(8 + size + first)
            left = last - first
            while left and (block := file.read(min(left, BLOCK))):
                digest.update(block)
                left -= len(block)
            if left:
                raise ValueError(f"{name} is cut off")
            found[name] = digest.hexdigest()
    return found


def first_line(error: BaseException) -> str:
    """What a library says of a fault, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
