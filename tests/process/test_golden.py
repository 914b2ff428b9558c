"""Every command prints on the samples what is recorded in `golden/` (see `golden.py`).

Fractions may differ in the fourth place: embeddings are not the same to the last digit on all processors.
"""

import re

import pytest
from golden import CASES, GOLDEN, recorded

FRACTION = re.compile(r"(-?\b\d+\.\d+\b)")


@pytest.fixture(scope="module")
def now(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return recorded(tmp_path_factory.mktemp("golden"))


@pytest.mark.parametrize("name", CASES)
def test_prints_what_is_recorded(name: str, now: dict[str, str]) -> None:
    found, wanted = (FRACTION.split(text) for text in (now[name], (GOLDEN / f"{name}.txt").read_text()))
    assert found[::2] == wanted[::2]
    assert [float(x) for x in found[1::2]] == pytest.approx([float(x) for x in wanted[1::2]], abs=1e-3)
