from dcbench.config.protocol import load_protocol
from dcbench.leaderboard.rules_lock import changed_rules, freeze, frozen_text

USED = {"digits": {"erm", "mixup"}}


def test_whether_weights_are_kept_is_no_rule_of_a_leaderboard():
    rules = load_protocol("v1")
    thrifty = rules.model_copy(update={"weights": "none"})
    assert frozen_text(freeze(thrifty, USED)) == frozen_text(freeze(rules, USED))
    assert changed_rules(freeze(rules, USED), thrifty) == []
