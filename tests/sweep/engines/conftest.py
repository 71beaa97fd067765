"""One sweep, of which every engine has to leave what the serial one leaves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from dcbench.sweep.engines.serial import Serial
from dcbench.sweep.grid import Request
from dcbench.sweep.scheduler import sweep
from tests.data.conftest import copied_splits, tiny  # noqa: F401 - fixtures
from tests.sweep.engines.runs import a_site, asked, everything

ONCE = """
import os, pathlib, signal
from torch.nn.functional import cross_entropy
from dcbench.methods import Method

class Once(Method):
    \"\"\"ERM that kills its process, the first time that it trains anywhere.\"\"\"

    def loss(self, network, batch):
        marker = pathlib.Path({marker!r})
        if not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return cross_entropy(network(batch.images), batch.labels)
"""

ALWAYS = """
import os, signal
from dcbench.methods import Method

class Always(Method):
    \"\"\"Kills its process whenever it trains.\"\"\"

    def loss(self, network, batch):
        os.kill(os.getpid(), signal.SIGKILL)
"""


@dataclass(frozen=True)
class Deadly:
    """A sweep in which one worker is killed once, and one whenever it is at a certain run.

    Attributes
    ----------
    marker : Path
        Its absence has `Once` kill its process.
    expected : dict
        What the serial engine leaves of the other runs.
    """

    once: str
    always: str
    marker: Path
    expected: dict[str, object]

    def requests(self) -> list[Request]:
        """One run that kills, then the others."""
        return asked(methods=[self.always, self.once, "ic-mixup"], seeds="0") + asked(
            methods=["erm"], seeds="0-1"
        )


@pytest.fixture(scope="session")
def deadly(tmp_path_factory: pytest.TempPathFactory) -> Deadly:
    folder = tmp_path_factory.mktemp("deadly")
    marker = folder / "marker"
    (folder / "once.py").write_text(ONCE.format(marker=str(marker)))
    (folder / "always.py").write_text(ALWAYS)
    once, always = f"{folder}/once.py:Once", f"{folder}/always.py:Always"
    marker.touch()
    whole = Deadly(once, always, marker, {})
    alive = [each for each in whole.requests() if each.method != always]
    sweep(alive, a_site(folder / "serial"), Serial())
    return Deadly(once, always, marker, everything(folder / "serial"))
