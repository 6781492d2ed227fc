"""Export settings refuse what cannot work, with the nearest name that can."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from pydantic import ValidationError
from rich.console import Console

from export.certify.pick import pick
from export.certify.table import certificate_table
from export.plan import Sizes, refuse_unless_it_fits
from export.settings import CertifySettings, ExportSettings, file_types
from recipes.cli.export import PICK_PROBLEMS, parser, settings_of
from runtime.errors import ExportError, InputError


def test_a_comma_list_is_a_list_of_types() -> None:
    assert ExportSettings(quant="q4_k_m, Q8_0,F16,Q8_0").quant == ("Q4_K_M", "Q8_0", "F16")  # type: ignore[arg-type]


def test_an_unknown_type_names_the_nearest() -> None:
    with pytest.raises(ValidationError, match="unknown quantization type 'Q4_KM'; nearest: Q4_K_M"):
        ExportSettings(quant=("Q4_KM",))
    with pytest.raises(ValidationError, match="nearest: Q8_0"):
        ExportSettings(quant=("Q8-0",))
    with pytest.raises(ValidationError, match="unknown quantization type"):
        ExportSettings(output_tensor_type="Q9")


def test_every_type_of_the_installed_llama_cpp_is_offered() -> None:
    assert {"F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "Q4_0", "Q3_K_S", "IQ4_XS"} <= set(file_types())
    assert file_types()["Q4_K_M"] == 15


def test_unknown_keys_are_mistakes() -> None:
    with pytest.raises(ValidationError, match="quants"):
        ExportSettings(quants="Q8_0")  # type: ignore[call-arg]


def test_pick_without_problems_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"certify\.problems"):
        ExportSettings(pick=0.99)


def test_pick_without_a_certificate_is_refused() -> None:
    with pytest.raises(ValidationError, match="needs a certificate"):
        ExportSettings(pick=0.99, certify=CertifySettings(problems=10, rows=0))


def test_pick_on_the_command_line_solves_problems_without_being_told_how_many() -> None:
    def settings(*words: str) -> ExportSettings:
        args = parser().read(["run", "--pick", "0.99", *words])
        assert args is not None
        return settings_of(args)

    assert settings().certify.problems == PICK_PROBLEMS
    assert settings("certify.problems=7").certify.problems == 7


def test_where_nothing_is_solved_nothing_is_picked() -> None:
    entry = {"bytes": 1, "solved": {"correct": 0, "of": 9}}
    certificate = {"models": {"F16": entry, "Q8_0": entry}, "files": {"F16": True, "Q8_0": True}}
    with pytest.raises(ExportError, match=r"solves none of 9 problems.*all files were kept"):
        pick(certificate, 0.99)


def test_the_certificate_names_its_models_on_eighty_columns_with_every_column_full() -> None:
    entry = {
        "kl": 3.6, "top1": 1.0, "perplexity": {"text": 13.16, "code": 1.014}, "solved": {"correct": 198, "of": 200},
        "bytes": 13_500_000_000, "tokens_per_second": {"generation": 1057}, "token_ids_equal": True, "certified": False,
    }  # fmt: skip
    names = ("adapter model", "merged model", "Q4_K_M")
    rows = {"compared": 64, "positions": 8192}
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(certificate_table({"name": "x", "rows": rows, "models": dict.fromkeys(names, entry)}))
    text = console.export_text()
    assert all(word in text for name in names for word in name.split())
    assert text.count("13.5 GB") == text.count("198/200") == text.count("not certified") == 3


def sizes(disk: int) -> Sizes:
    return Sizes(merged=disk, f16=0, files={}, memory=0, seconds=0)


def test_a_disk_that_is_too_small_is_found_before_work(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="GB free, the export needs up to"):
        refuse_unless_it_fits(sizes(10**18), tmp_path / "out", ExportSettings())


def test_a_target_that_cannot_be_written_is_found_before_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written to"):
        refuse_unless_it_fits(sizes(1), tmp_path / "file" / "out", ExportSettings())


def test_types_below_three_bits_ask_for_an_importance_matrix(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="IQ2_XS needs an importance matrix"):
        refuse_unless_it_fits(sizes(1), tmp_path, ExportSettings(quant=("IQ2_XS",)))
    with pytest.raises(InputError, match="does not exist"):
        refuse_unless_it_fits(sizes(1), tmp_path, ExportSettings(imatrix=tmp_path / "nowhere.gguf"))
