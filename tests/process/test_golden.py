"""Every command prints on the samples what is recorded in `golden/` (see `golden.py`)."""

import pytest
from golden import CASES, GOLDEN, recorded


@pytest.fixture(scope="module")
def now(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return recorded(tmp_path_factory.mktemp("golden"))


@pytest.mark.parametrize("name", CASES)
def test_prints_what_is_recorded(name: str, now: dict[str, str]) -> None:
    assert now[name] == (GOLDEN / f"{name}.txt").read_text()
