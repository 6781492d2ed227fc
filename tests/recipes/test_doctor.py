"""`doctor` tells what is there and what to do, also of machines that are pretended here."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qlora import devices, probes
from qlora.devices import Driver
from qlora.probes import Outcome
from recipes import doctor
from recipes.cli import main
from recipes.doctor.files import files
from recipes.doctor.finding import Finding, package
from recipes.doctor.known_models import good_models, models
from recipes.doctor.machine import machine, system
from recipes.doctor.solving import solving
from recipes.doctor.training import training

ROOT = Path(__file__).resolve().parent.parent.parent
RTX = "NVIDIA GeForce RTX 4090"


def test_the_report_is_json_with_a_remedy_for_everything_that_is_not_ok(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["doctor", "--json"])
    told = json.loads(capsys.readouterr().out)
    names = {finding["name"] for finding in told["findings"]}
    assert {"system", "Python", "memory", "llama-cpp-python", "isolation", "seccomp", "settings", "home"} <= names
    assert code == (0 if told["ok"] else 1)
    for finding in told["findings"]:
        if finding["state"] == "bad":
            assert finding["remedy"], finding
    cell = next(finding for finding in told["findings"] if finding["name"] == "a cell")
    assert cell["state"] == "ok"
    assert "132" in cell["detail"]


def test_a_check_that_breaks_is_a_finding_not_a_crash() -> None:
    def broken() -> Iterator[Finding]:
        raise RuntimeError("no such device")

    found = list(doctor.examine({"machine": broken}))
    assert [finding.state for finding in found] == ["bad"]
    assert "no such device" in found[0].detail


def test_another_version_than_the_tested_one_is_a_note_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipes.doctor.finding.version", lambda _package: "99.0")
    finding = package("training", "transformers", needed=True, extra="train")
    assert (finding.state, finding.remedy) == (
        "note",
        f"pip install 'transformers=={doctor.KNOWN_GOOD['transformers']}'",
    )


def test_the_known_good_versions_are_those_of_the_constraints() -> None:
    pinned = {}
    for file in (ROOT / "constraints").glob("*.txt"):
        for line in file.read_text(encoding="utf-8").splitlines():
            if "==" in line and not line.startswith("#"):
                name, version = line.split("==")
                pinned[re.sub(r"[-_.]+", "-", name).lower()] = version
    for name, version in doctor.KNOWN_GOOD.items():
        assert pinned[re.sub(r"[-_.]+", "-", name).lower()] == version


# Systems


@pytest.mark.parametrize(
    ("kernel", "release", "processor", "state", "said"),
    [
        ("Linux", "6.8.0-41-generic", "x86_64", "ok", "tested"),
        ("Linux", "6.8.0-1015-raspi", "aarch64", "note", "expected"),
        ("Linux", "5.15.167.4-microsoft-standard-WSL2", "x86_64", "note", "WSL2"),
        ("Linux", "4.4.0-19041-Microsoft", "x86_64", "bad", "WSL1"),
        ("Darwin", "24.1.0", "arm64", "note", "sandbox-exec"),
        ("Windows", "11", "AMD64", "bad", "WSL2"),
        ("FreeBSD", "14.1", "amd64", "note", "nothing is known"),
    ],
)
def test_each_system_is_said_to_be_tested_expected_or_refused(
    kernel: str, release: str, processor: str, state: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("system", kernel), ("release", release), ("machine", processor)):
        monkeypatch.setattr(platform, name, lambda value=value: value)
    found = system()
    assert found.state == state
    assert said in f"{found.detail} {found.remedy}"
    assert bool(found.remedy) == (state == "bad")


# Homes


def without_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for a user of a container who has no entry in the passwd file."""

    def absent() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", absent)
    for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "MATHCODER_CACHE", "MATHCODER_SETTINGS"):
        monkeypatch.delenv(name, raising=False)


def test_a_user_without_a_home_reads_what_that_costs_and_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    without_home(monkeypatch)
    found = {finding.name: finding for finding in doctor.examine({"machine": machine, "files": files})}
    assert "check" not in found
    assert found["working folder"].state == "ok"
    assert found["home"].state == "note"
    assert "goes with the temporary files" in found["home"].detail
    assert "HOME" in found["home"].remedy
    assert {found[name].state for name in ("cache", "chats", "settings")} == {"ok"}


def test_a_home_that_does_not_exist_or_cannot_be_written_to_is_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "MATHCODER_CACHE", "MATHCODER_SETTINGS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    home = {finding.name: finding for finding in files()}["home"]
    assert (home.state, home.detail) == ("note", f"{tmp_path / 'nobody'} does not exist")
    monkeypatch.setenv("HOME", "/proc")  # a file system in which nobody, root included, makes a file
    found = {finding.name: finding for finding in files()}
    for name in ("home", "cache", "chats"):
        assert found[name].state == "note", found[name]
        assert found[name].remedy


def test_paths_are_written_whole_where_the_home_is_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    from recipes.places import tilde

    monkeypatch.setenv("HOME", "/")
    assert tilde(Path("/work/rows")) == "/work/rows"
    monkeypatch.setenv("HOME", "/home/ann")
    assert tilde(Path("/home/ann/rows")) == "~/rows"


# GPUs

Pretend = Callable[..., dict[str, Finding]]


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """The training part of the report on a machine with the given driver, torch and outcomes of probes."""
    torch = pytest.importorskip("torch", reason="needs the train extra")

    def report(
        driver: Driver | None, *, built: str | None = "13.0", sees: Outcome | None = None,
        outcomes: Iterable[Outcome] = (), hidden: bool = False,
    ) -> dict[str, Finding]:  # fmt: skip
        monkeypatch.setattr(devices, "nvidia_driver", lambda: driver)
        monkeypatch.setattr(devices, "cuda_of_driver", lambda: driver and driver.cuda)
        monkeypatch.setattr(torch.version, "cuda", built)
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "" if hidden else "0")
        tried: list[Any] = []

        def try_all(device: str, names: Iterable[str]) -> Iterator[Outcome]:
            tried.append((device, tuple(names)))
            if tuple(names) == ("seen",):
                assert sees is not None, "no probe was expected"
                return iter([sees])
            return iter(outcomes)

        monkeypatch.setattr(probes, "try_all", try_all)
        return {finding.name: finding for finding in training()}

    return report


def seen(*names: str) -> Outcome:
    return Outcome("seen", "ok", ", ".join(names), figures={"names": list(names)})


def test_a_machine_without_a_gpu_says_so_and_starts_no_probe(pretend: Pretend) -> None:
    found = pretend(None)
    assert found["GPU"].detail.startswith("none")
    assert "GPU driver" not in found


def test_a_driver_too_old_for_torch_is_told_with_both_versions_and_two_ways_out(pretend: Pretend) -> None:
    found = pretend(Driver((RTX,), "550.54.14", (12, 4)), sees=seen())
    assert found["GPU driver"].state == "note"
    assert "550.54.14, CUDA 12.4" in found["GPU driver"].detail
    gpu = found["GPU"]
    assert gpu.state == "note"
    for said in (RTX, "CUDA 13.0", "550.54.14", "12.4", "runs on the processor"):
        assert said in gpu.detail
    assert "update the driver" in gpu.remedy
    assert "TORCH_INDEX" in gpu.remedy


def test_a_driver_of_the_same_major_version_runs_every_minor_one(pretend: Pretend) -> None:
    found = pretend(Driver((RTX,), "560.35", (12, 6)), built="12.8", sees=seen(RTX))
    assert found["GPU driver"].state == "ok"
    assert found["GPU 0"].state == "ok"


def test_a_torch_without_cuda_beside_a_gpu_is_told(pretend: Pretend) -> None:
    found = pretend(Driver((RTX,), "580.65", (13, 0)), built=None, sees=seen())
    assert "built without CUDA" in found["GPU"].detail
    assert "pip install" in found["GPU"].remedy


def test_a_gpu_that_was_hidden_on_purpose_is_a_note_and_is_not_tried(pretend: Pretend) -> None:
    found = pretend(Driver((RTX,), "580.65", (13, 0)), hidden=True)
    assert "hidden by CUDA_VISIBLE_DEVICES" in found["GPU"].detail


def test_a_driver_that_hangs_is_a_line_with_a_remedy(pretend: Pretend) -> None:
    hangs = Outcome("seen", "bad", "no answer within 90 s", "start the machine again")
    found = pretend(Driver((RTX,), "580.65", (13, 0)), sees=hangs)
    assert found["GPU"].state == "bad"
    assert "no answer within 90 s" in found["GPU"].detail
    assert found["GPU"].remedy


def test_every_probe_is_a_line_and_triton_is_never_a_fault(pretend: Pretend) -> None:
    outcomes = [
        Outcome("memory", "ok", "compute capability 8.9; 22.9 of 23.6 GiB free once CUDA runs"),
        Outcome("matmul", "ok", "bfloat16, error 2e-03; 150 TFLOP/s measured, 91% of the data sheet of RTX 4090"),
        Outcome("nf4", "bad", "the process died of SIGSEGV", "update the driver"),
        Outcome("attention", "ok", "forward and backward, error 3e-03; kernels: flash"),
        Outcome("triton", "bad", "CalledProcessError: gcc", "train.backend=peft"),
    ]
    found = pretend(Driver((RTX,), "580.65", (13, 0)), sees=seen(RTX), outcomes=outcomes)
    assert found["GPU 0"].state == "ok"
    assert "compute capability 8.9" in found["GPU memory"].detail
    assert "91%" in found["GPU products"].detail
    assert (found["GPU NF4"].state, found["GPU NF4"].remedy) == ("bad", "update the driver")
    assert found["GPU attention"].state == "ok"
    assert found["Triton"].state == "note"


def test_of_two_gpus_the_one_that_is_not_used_is_a_note_with_the_way_to_use_it(pretend: Pretend) -> None:
    found = pretend(Driver((RTX, RTX), "580.65", (13, 0)), sees=seen(RTX, "NVIDIA GeForce RTX 3060"))
    assert found["GPU 0"].state == "ok"
    assert found["GPU 1"].state == "note"
    assert "CUDA_VISIBLE_DEVICES" in found["GPU 1"].remedy


def test_under_wsl_the_report_says_that_memory_spills(pretend: Pretend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "release", lambda: "5.15.167.4-microsoft-standard-WSL2")
    found = pretend(Driver((RTX,), "580.65", (13, 0)), sees=seen(RTX))
    assert found["GPU under WSL2"].state == "note"
    assert "memory of the host" in found["GPU under WSL2"].detail


def test_a_broken_gpu_gives_exit_code_1_and_a_remedy_on_the_screen(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = Finding("training", "GPU NF4", "bad", "the process died of SIGSEGV", "update the driver")
    monkeypatch.setattr(doctor, "PARTS", {"training": lambda: iter([bad])})
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert "SIGSEGV" in shown
    assert "update the driver" in shown
    assert main(["doctor", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["findings"][0]["remedy"] == "update the driver"


def test_the_command_that_builds_llama_cpp_for_the_gpu_is_that_of_the_readme_and_leaves_other_packages_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("llama_cpp", reason="needs llama-cpp-python")
    monkeypatch.setattr("runtime.engine.llama.library.build_facts", lambda: {"system_info": "", "gpu_offload": False})
    tool = tmp_path / "nvidia-smi"
    tool.touch()
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    offload = {finding.name: finding for finding in solving()}["GPU offload"]
    assert offload.state == "note"
    assert "nvcc is not here" in offload.remedy
    command = offload.remedy[offload.remedy.index("CMAKE_ARGS") :]
    assert command in (ROOT / "README.md").read_text(encoding="utf-8")
    for part in ("--no-deps", "-DCMAKE_CUDA_ARCHITECTURES=native"):
        assert part in command


# Models


def test_the_list_of_good_models_names_a_source_for_every_score_and_a_name_that_can_be_fetched() -> None:
    listed = good_models()
    assert len(listed) >= 6
    assert [model.bytes for model in listed] == sorted(model.bytes for model in listed)
    for model in listed:
        assert re.fullmatch(r"hf:[\w.-]+/[\w.-]+", model.get), model.get
        assert all(0 < score <= 100 for score in model.scores.values())
        assert model.source


@pytest.mark.parametrize(
    ("total", "free", "fits", "later", "large"),
    [
        (4, 3, ["Qwen2.5-Math-1.5B-Instruct"], [], ["Qwen2.5-Math-7B-Instruct", "gpt-oss-20b", "GLM-4.7-Flash"]),
        (16, 4, ["OpenMath-Nemotron-1.5B"], ["Qwen2.5-Math-7B-Instruct", "gpt-oss-20b"], ["GLM-4.7-Flash"]),
        (64, 60, ["gpt-oss-20b", "GLM-4.7-Flash", "Nemotron-3-Nano-30B-A3B"], [], []),
    ],
)
def test_models_that_fit_are_told_with_scores_and_source_and_the_others_by_their_size(
    monkeypatch: pytest.MonkeyPatch, total: int, free: int, fits: list[str], later: list[str], large: list[str]
) -> None:
    monkeypatch.setattr("recipes.doctor.known_models.memory_bytes", lambda: (total << 30, free << 30))
    found = {finding.name.partition(",")[0]: finding for finding in models()}
    for name in fits:
        assert found[name].detail.startswith("fits, about"), name
        assert "with Python" in found[name].detail
        assert "mathcoder models get hf:" in found[name].detail
    for name in later:
        assert found[name].detail.startswith("fits once others give back memory"), name
    for name in large:
        assert name in found["too large here"].detail
        assert name not in found
    assert ("too large here" in found) is bool(large)


def test_without_a_known_memory_nothing_is_said_of_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recipes.doctor.known_models.memory_bytes", lambda: None)
    assert [finding.state for finding in models()] == ["ok"]
