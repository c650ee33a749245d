import os

import pytest
import torch

from robot.system.device import is_capped, pick_device, pick_dtype
from robot.types import InputError

CPU = torch.device("cpu")


def test_a_named_device_is_taken():
    assert pick_device("cpu") == CPU


def test_some_device_is_always_found():
    assert pick_device().type in {"cuda", "mps", "cpu"}


@pytest.mark.parametrize("name", ["tpu9", "cuda:63"])
def test_a_device_that_is_not_there_is_refused(name):
    with pytest.raises(InputError, match=name):
        pick_device(name)


@pytest.mark.parametrize(("capable", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_is_bf16_only_where_the_cpu_has_it(monkeypatch, capable, expected):
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": capable})
    assert pick_dtype("auto", CPU) == expected


def test_auto_is_fp32_on_a_cpu_with_bf16_that_is_capped(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    monkeypatch.setattr(os, "environ", {"ONEDNN_MAX_CPU_ISA": "AVX2"})
    assert pick_dtype("auto", CPU) == torch.float32


@pytest.mark.parametrize(
    ("environment", "capped"),
    [
        ({}, False),
        ({"ONEDNN_MAX_CPU_ISA": "ALL", "ATEN_CPU_CAPABILITY": "avx512"}, False),
        ({"ONEDNN_MAX_CPU_ISA": "avx512_core_bf16"}, False),
        ({"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_AMX"}, False),
        ({"ONEDNN_MAX_CPU_ISA": "AVX2"}, True),
        ({"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI"}, True),
        ({"ATEN_CPU_CAPABILITY": "avx2"}, True),
        ({"ATEN_CPU_CAPABILITY": "default"}, True),
    ],
)
def test_a_cap_below_the_bf16_instructions_counts(environment, capped):
    assert is_capped(environment) == capped


def test_fp32_is_fp32_wherever_it_runs():
    assert pick_dtype("fp32", CPU) == torch.float32


def test_an_unknown_precision_is_refused_with_the_choices():
    with pytest.raises(InputError, match="bf16"):
        pick_dtype("fp8", CPU)
