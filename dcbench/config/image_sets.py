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

OPENOOD = ("tin", "svhn", "textures", "places365", *GRAY)
"""OOD sets that are predicted on demand, in the order of a leaderboard's columns."""

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


def chosen_sets(names: list[str], of_split: tuple[str, ...]) -> list[str]:
    """The sets that some names and groups stand for, each once.

    Parameters
    ----------
    of_split : tuple of str
        The OOD sets of the split, which may be named too.

    Raises
    ------
    UsageError
        There is no such set or group.
    """
    known = dict.fromkeys((*of_split, *OPENOOD, *CORRUPTIONS))
    found: dict[str, None] = {}
    for name in names:
        if name not in known and name not in GROUPS:
            raise unknown("image set", name, [*known, *GROUPS])
        found.update(dict.fromkeys(GROUPS.get(name, (name,))))
    return list(found)


def mean_members(group: str, there: Container[str]) -> list[str] | None:
    """The sets that the mean of a group is over; None unless all of the group are there."""
    members = []
    for names in OOD_MEANS[group]:
        present = [name for name in names if name in there]
        if not present:
            return None
        members.append(present[0])
    return members
