import pytest

from kdb import registry
from kdb.errors import UsageError

PARTS = {"pattern": "collections:OrderedDict", "rule": "collections:Counter", "lost": "collections:NoSuchThing"}


def test_a_part_is_loaded_by_its_name():
    from collections import Counter

    assert registry.load(PARTS, "rule") is Counter


def test_an_unknown_name_suggests_the_nearest_and_lists_all():
    with pytest.raises(UsageError) as error:
        registry.load(PARTS, "patern", "knowledge format")
    assert str(error.value) == (
        "knowledge format 'patern' does not exist (did you mean 'pattern'? one of: pattern, rule, lost)"
    )


def test_a_name_that_is_like_no_other_gets_the_list_only():
    with pytest.raises(UsageError) as error:
        registry.check(PARTS, "xyz")
    assert error.value.hint == "one of: pattern, rule, lost"


def test_an_entry_that_points_at_nothing_is_a_fault_of_the_code():
    with pytest.raises(AttributeError):
        registry.load(PARTS, "lost")
