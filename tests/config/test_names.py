import pytest

from dcbench.config.names import split_list


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("", []),
        ("erm", ["erm"]),
        ("erm, mixup", ["erm", "mixup"]),
        ("ic-mixup[axes=class,alpha=1],erm", ["ic-mixup[axes=class,alpha=1]", "erm"]),
        ("milestones=[3,5],epochs=7", ["milestones=[3,5]", "epochs=7"]),
        ("erm,,mixup", ["erm", "", "mixup"]),  # whoever reads the empty name says what is wrong
    ],
)
def test_lists_are_split_at_the_commas_outside_brackets(text, items):
    assert split_list(text) == items
