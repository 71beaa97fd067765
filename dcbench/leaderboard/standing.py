"""What there is for a row, and whether it counts: the words for tiers, states and events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

CLAIMED, RECOMPUTED, RERUN = "claimed", "recomputed", "rerun"
TIERS = (CLAIMED, RECOMPUTED, RERUN)
"""The evidence for a row, the weakest first."""

CURRENT, DISPUTED, SUPERSEDED, WITHDRAWN = "current", "disputed", "superseded", "withdrawn"
STATES = (CURRENT, DISPUTED, SUPERSEDED, WITHDRAWN)
RETIRED = (SUPERSEDED, WITHDRAWN)
"""States of rows that count no more: they are kept apart."""

CORRECTED, MISSING = "corrected", "missing"

EVENTS: Mapping[str, str] = {
    SUPERSEDED: "another run of the same seed takes the row's place; the row is kept apart",
    WITHDRAWN: "the row counts no more, and is kept apart",
    DISPUTED: "somebody doubts the row; it still counts",
    CURRENT: "the doubt is answered",
    CORRECTED: "a cell was wrong; the predictions are the same",
    MISSING: "a run that the protocol asks for is not there, though later seeds are",
    RECOMPUTED: "the metrics were computed again from the stored predictions",
    RERUN: "a run was trained again on another machine",
}
"""What a line of the changelog may say."""


class Standing(NamedTuple):
    """Tier and state of a row."""

    tier: str = CLAIMED
    state: str = CURRENT

    def after(self, event: str | None) -> Standing:
        """The standing of whatever row is in the place once an event has happened.

        A row that was corrected or that takes another's place has to earn its tier anew; None is
        an event of an earlier version, which did not say what it was.
        """
        if event in TIERS:
            return self._replace(tier=max(self.tier, event, key=TIERS.index))
        if event in (DISPUTED, CURRENT):
            return self._replace(state=event)
        return self if event == MISSING else Standing()
