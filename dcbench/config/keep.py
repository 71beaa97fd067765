"""What is kept of a run once it is recorded."""

from __future__ import annotations

from typing import Literal

Weights = Literal["keep", "none"]
"""What becomes of the weights; their hash is recorded either way."""
