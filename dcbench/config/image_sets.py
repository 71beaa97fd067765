"""Names of the image sets that a run may predict beside those of its split, and their groups.

The images themselves are the room `data`'s; whatever reads records needs the names alone.
"""

from __future__ import annotations

from collections.abc import Container

from dcbench.errors import unknown

OTHER_CIFAR = ("cifar10", "cifar100")
NEAR, FAR = "near", "far"

OOD_MEANS: dict[str, tuple[tuple[str, ...], ...]] = {
    NEAR: (OTHER_CIFAR, ("tin",)),
    FAR: (("mnist",), ("svhn",), ("textures",), ("places365",)),
}
"""The groups of OpenOOD v1.5 that means are taken over; of each member one of several names."""

GRAY = ("fashion-mnist", "kmnist", "usps")
"""Further far sets: gray images, enlarged or with a border."""

FURTHER_OOD = ("tin", "textures", "places365", *GRAY)
"""OOD sets that are no split's own, in the order of a leaderboard's columns."""

OPENOOD = ("svhn", *FURTHER_OOD)
"""What is predicted on demand."""

CORRUPTIONS = (
    *("gaussian_noise", "shot_noise", "impulse_noise"),
    *("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    *("snow", "frost", "fog", "brightness"),
    *("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
)
"""The common corruptions (Hendrycks and Dietterich, ICLR 2019), in the paper's order."""

ALL_CORRUPTIONS = "corruptions"
SEVERITIES = (1, 2, 3, 4, 5)

GROUPS: dict[str, tuple[str, ...]] = {
    "openood": OPENOOD,
    ALL_CORRUPTIONS: CORRUPTIONS,
}
"""What one word stands for where sets are named."""


def members_of(word: str, of_split: Container[str]) -> tuple[str, ...]:
    """The sets that a word stands for: a group's, or the one of that name.

    Parameters
    ----------
    of_split : container of str
        The OOD sets of the split, which may be named too.

    Raises
    ------
    UsageError
        There is no such set or group.
    """
    if word in GROUPS:
        return GROUPS[word]
    if word not in of_split and word not in (*OPENOOD, *CORRUPTIONS):
        raise unknown("image set", word, [*OPENOOD, *CORRUPTIONS, *GROUPS])
    return (word,)


def mean_members(group: str, there: Container[str]) -> list[str] | None:
    """The sets that the mean of a group is over; None unless all of the group are there."""
    members = []
    for names in OOD_MEANS[group]:
        present = [name for name in names if name in there]
        if not present:
            return None
        members.append(present[0])
    return members
