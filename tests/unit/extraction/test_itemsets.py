"""Frequent itemsets and association rules are those that mlxtend finds."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlxtend.frequent_patterns import association_rules as rules_of_mlxtend
from mlxtend.frequent_patterns import fpgrowth
from mlxtend.preprocessing import TransactionEncoder

from kdb.retrieval.association_rules import ROUNDING, CategoryInstance, MiningConfig, association_rules
from kdb.retrieval.itemsets import Itemsets, Transactions, frequent

THINGS = [((letter,), 1) for letter in "abcdefg"]
TRANSACTIONS = st.lists(st.frozensets(st.sampled_from(THINGS), max_size=6), min_size=1, max_size=40)


def by_mlxtend(transactions: Transactions[CategoryInstance], fewest: int, most: int) -> pd.DataFrame:
    encoder = TransactionEncoder()
    table = pd.DataFrame(encoder.fit_transform(transactions), columns=encoder.columns_)
    return fpgrowth(table, (fewest - 0.5) / len(transactions), max_len=most, use_colnames=True)


def counted(found: pd.DataFrame, transactions: int) -> Itemsets[CategoryInstance]:
    return {frozenset(i): round(s * transactions) for i, s in zip(found["itemsets"], found["support"], strict=True)}


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning:mlxtend")
@given(TRANSACTIONS, st.integers(1, 10), st.integers(1, 6), st.sampled_from([0.0, 0.2, 0.5, 1.0]))
def test_itemsets_and_rules_are_those_of_mlxtend(transactions, fewest, most, confidence) -> None:
    fewest = min(fewest, len(transactions))  # more is an error to mlxtend
    theirs = by_mlxtend(transactions, fewest, most)
    ours = frequent(transactions, fewest, most)
    assert ours == counted(theirs, len(transactions))
    found = {
        (rule.antecedent, rule.consequent): (rule.joint_count, rule.confidence, rule.lift(len(transactions)))
        for rule in association_rules(ours, MiningConfig(1, 0, confidence, most))
    }
    if theirs.empty:
        assert not found
        return
    wanted = rules_of_mlxtend(theirs, metric="confidence", min_threshold=confidence - ROUNDING)
    sides = zip(wanted["antecedents"], wanted["consequents"], strict=True)
    assert found.keys() == set(sides)
    for rule in wanted.to_dict("records"):
        both, sure, lift = found[rule["antecedents"], rule["consequents"]]
        assert both == round(rule["support"] * len(transactions))
        assert (sure, lift) == pytest.approx((rule["confidence"], rule["lift"]))
