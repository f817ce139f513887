"""Which engine computes, by what is asked for and what is there."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from lcmap.engines import choice, openvino
from lcmap.engines.choice import choose_engine
from lcmap.engines.compute import Arithmetic, Compute, EngineName, Provider
from lcmap.errors import UnavailableError, UsageError

Machine = Callable[..., None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Return a function that imitates a machine: its device, OpenVINO, its instructions."""

    def imitate(*, device: str = "cpu", installed: bool = True, bfloat16: bool = True) -> None:
        def module() -> SimpleNamespace:
            if not installed:
                raise UnavailableError("`engine=openvino`", "is not installed", "install it")
            found = ["FP32", "BF16"] if bfloat16 else ["FP32"]
            core = SimpleNamespace(get_property=lambda *_: found)
            return SimpleNamespace(Core=lambda: core, __version__="2026.4.1-22982-e213-releases")

        monkeypatch.setattr(choice, "choose_provider", lambda wanted: device)
        monkeypatch.setattr(openvino, "_openvino", module)

    return imitate


def title(
    engine: EngineName = "auto", arithmetic: Arithmetic = "float32", provider: Provider = "auto"
) -> str:
    return choose_engine(Compute(engine=engine, provider=provider), arithmetic, "m.onnx").title


def test_openvino_is_taken_where_it_is_installed(machine: Machine) -> None:
    machine()
    assert title() == title(arithmetic="int8") == "openvino 2026.4.1-22982 on cpu"
    assert title(arithmetic="bfloat16") == title()


def test_onnxruntime_is_taken_without_it_for_float16_on_cuda_and_by_name(machine: Machine) -> None:
    machine()
    assert title(arithmetic="float16").startswith("onnxruntime")
    assert title("onnxruntime").startswith("onnxruntime")
    machine(device="cuda")
    assert title().startswith("onnxruntime") and title().endswith("cuda")
    machine(installed=False)
    assert title().startswith("onnxruntime")


def test_who_names_openvino_gets_it_or_a_word(machine: Machine) -> None:
    machine(device="cuda")
    assert title("openvino").startswith("openvino")
    with pytest.raises(UsageError, match="computes on CPU only"):
        title("openvino", provider="cuda")
    with pytest.raises(UsageError, match="has no float16"):
        title("openvino", "float16")
    machine(installed=False)
    with pytest.raises(UnavailableError, match="is not installed"):
        title("openvino")


def test_bfloat16_is_refused_and_not_imitated(machine: Machine) -> None:
    machine(bfloat16=False)
    with pytest.raises(UnavailableError, match="no instructions for it"):
        title(arithmetic="bfloat16")
    machine(installed=False)
    with pytest.raises(UnavailableError, match="is not installed"):
        title(arithmetic="bfloat16")
    machine(device="cuda")
    with pytest.raises(UsageError, match="`provider=cpu` or `precision=float16`"):
        title(arithmetic="bfloat16")
    machine()
    with pytest.raises(UsageError, match="needs OpenVINO; leave out `engine=onnxruntime`"):
        title("onnxruntime", "bfloat16")


@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="it is not installed")
def test_bfloat16_is_where_the_processor_says_it_is() -> None:
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        flags = set(next(line for line in file if line.startswith("flags")).split())
    if flags & {"avx512_bf16", "amx_bf16"}:
        assert title(arithmetic="bfloat16").startswith("openvino")
    else:
        with pytest.raises(UnavailableError, match="avx512_bf16 or amx_bf16"):
            title(arithmetic="bfloat16")
