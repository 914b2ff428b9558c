"""A short part of the fault campaign (`campaign.py`): each fault once, by a seed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from campaign import SCENARIOS, FullDisksNeedRoot, Lab, laboratory


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with laboratory(tmp_path_factory.mktemp("campaign"), 0) as lab:
        yield lab


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_disturbed_command_ends_as_if_nothing_had_been(lab: Lab, name: str, tmp_path: Path) -> None:
    try:
        SCENARIOS[name](lab)
    except FullDisksNeedRoot:
        pytest.skip("needs to mount a small file system")
