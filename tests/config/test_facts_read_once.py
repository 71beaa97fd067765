from collections import Counter
from pathlib import Path

from dcbench.config import reading
from dcbench.config.reading import read_yaml
from tests.counting import counted


def test_file_is_parsed_once_until_its_content_changes(tmp_path: Path, monkeypatch):
    calls: Counter[str] = Counter()
    counted(monkeypatch, reading, "parse_yaml", calls)
    reading._parsed_yaml.cache_clear()
    path = tmp_path / "facts.yaml"
    path.write_text("epochs: 20\n")
    assert [read_yaml(path) for _ in range(3)] == [{"epochs": 20}] * 3
    assert calls == {"parse_yaml": 1}
    path.write_text("epochs: 30\n")  # as long as before, and within the same tick of the clock
    assert read_yaml(path) == {"epochs": 30}
