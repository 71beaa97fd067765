from pathlib import Path

import pytest
import torch

from dcbench.runs import machine as environment
from dcbench.runs.machine import (
    describe_environment,
    device_title,
    has_bf16,
    processor_generation,
    warn_of_slow_arithmetic,
)

CPU = torch.device("cpu")

X86 = """processor\t: 0
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: {model}
model name\t: AMD EPYC
stepping\t: 1
flags\t\t: fpu vme avx2
power management:

processor\t: 1
vendor_id\t: AuthenticAMD
cpu family\t: 6
"""

ARM = """processor\t: 0
BogoMIPS\t: 243.75
Features\t: fp asimd
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x3
CPU part\t: 0xd0c
CPU revision\t: 1
"""


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (X86.format(model=1), "vendor_id AuthenticAMD, cpu family 25, model 1, stepping 1"),
        (ARM, "CPU implementer 0x41, CPU variant 0x3, CPU part 0xd0c, CPU revision 1"),
        ("processor\t: 0\nhart\t: 2\nisa\t: rv64imafdc\n", None),
        ("", None),
    ],
)
def test_generation_of_the_first_processor_is_named_as_far_as_linux_knows_it(
    tmp_path: Path, content, expected
):
    info = tmp_path / "cpuinfo"
    info.write_text(content)
    assert processor_generation(info) == expected


def test_generation_is_unknown_where_there_is_no_proc(tmp_path: Path):
    assert processor_generation(tmp_path / "cpuinfo") is None


def test_processors_of_one_name_differ_in_the_record_and_not_in_the_device_column(
    tmp_path: Path, monkeypatch
):
    told = []
    for model in (1, 17):
        info = tmp_path / f"cpuinfo-{model}"
        info.write_text(X86.format(model=model))
        monkeypatch.setattr(environment, "CPU_INFO", info)
        told.append((describe_environment(CPU), device_title(CPU)))
    (zen_3, one_title), (zen_4, other_title) = told
    assert one_title == other_title == f"AMD EPYC, {torch.get_num_threads()} threads"
    assert zen_3["processor"] == zen_4["processor"] == "AMD EPYC"
    assert zen_3["processor_generation"] != zen_4["processor_generation"]


def test_record_names_the_instructions_that_torch_computes_with():
    capability = describe_environment(CPU)["cpu_capability"]
    assert f"CPU capability usage: {capability}\n" in torch.__config__.show()


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"avx512_bf16": True, "amx_bf16": False}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({"neon": True, "bf16": True}, True),
        ({"neon": True, "bf16": False}, False),
    ],
)
def test_bf16_arithmetic_is_found_by_what_the_processor_can_do(capabilities, expected):
    assert has_bf16(capabilities) is expected


def test_emulated_arithmetic_is_told_once_and_only_of_a_processor(monkeypatch, caplog):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    warn_of_slow_arithmetic.cache_clear()
    for precision, device in (("bf16", "cuda"), ("float32", "cpu"), ("tf32", "cpu")):
        warn_of_slow_arithmetic(precision, torch.device(device))
    assert not caplog.messages
    for _ in range(2):
        warn_of_slow_arithmetic("bf16", torch.device("cpu"))
    warn_of_slow_arithmetic.cache_clear()
    (message,) = caplog.messages
    assert "no bf16 arithmetic" in message
    assert "leave the setting out" in message
