"""What lies next to the files: a model card, and a Modelfile for Ollama."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from export.certify.check import role_names
from export.gguf.file import read_gguf
from export.gguf.template import modelfile, renamed
from export.merge.source import Source
from runtime.files import write_text
from runtime.lce import DIALECT_META


def write_card(
    source: Source, files: dict[str, Path], out: Path, certificate: dict[str, Any] | None, context: int
) -> list[Path]:
    """Write `NAME.README.md` and `NAME.Modelfile` beside the files; returns their paths."""
    smallest = min(files.values(), key=lambda file: file.stat().st_size)
    card, model_file = out / f"{source.name}.README.md", out / f"{source.name}.Modelfile"
    write_text(card, _card(source, files, smallest, certificate, context))
    file = read_gguf(smallest)
    if DIALECT_META in file.metadata:
        # The base's own chat template is in the file, tools and all.
        write_text(model_file, f"FROM ./{smallest.name}\nPARAMETER num_ctx {context}\nPARAMETER temperature 0\n")
    else:
        write_text(model_file, renamed(modelfile(smallest.name, context), role_names(file)))
    return [card, model_file]


def _card(
    source: Source, files: dict[str, Path], smallest: Path, certificate: dict[str, Any] | None, context: int
) -> str:
    run = source.run
    data = run.get("data") or {}
    recipe = run.get("recipe") or {}
    lines = [
        f"# {source.name}",
        "",
        "A model that solves mathematics by writing text and Python code in turn, with the code executed in between "
        "(MathCoder, arXiv 2310.03731).",
        "",
        "| | |",
        "|---|---|",
        f"| base | {run.get('base') or source.base.name} |",
        f"| licence of the base | {_licence(source.base)} |",
        f"| trained on | {data.get('source', 'not recorded')}{_rows(data)} |",
        "| licence of the data | see the data set's own page (MathCodeInstruct: Apache-2.0) |",
        f"| steps, seed | {run.get('steps', 'not recorded')}, {run.get('seed', 'not recorded')} |",
        f"| adapter | {_adapter(source)} |",
        f"| context | {context} tokens |",
        f"| exported by | mathcoder-toolkit, llama-cpp-python {_version()} |",
        "",
        "## Run it",
        "",
        "With execution, which is what it was trained for:",
        "",
        "```",
        f"mathcoder chat {smallest.name}",
        f'mathcoder solve {smallest.name} "What is the sum of the first 100 primes?"',
        "```",
        "",
        "With stock llama.cpp, which shows the code and runs none of it:",
        "",
        "```",
        f"llama-server -m {smallest.name} -c {context} --special --jinja",
        f"ollama create {source.name} -f {source.name}.Modelfile",
        "```",
        "",
        "## Files",
        "",
    ]
    lines += _files(files, certificate)
    if recipe:
        lines += ["", "## Recipe", "", "```json", _json(recipe), "```"]
    return "\n".join(lines) + "\n"


def _files(files: dict[str, Path], certificate: dict[str, Any] | None) -> list[str]:
    if certificate is None:
        listed = [
            f"- `{file.name}`, {file.stat().st_size / 1e6:,.1f} MB, compared with nothing" for file in files.values()
        ]
        return [*listed, "", "No certificate: there were no held-out rows to compare on."]
    lines = ["| file | size | KL | top-1 | perplexity text / code | certified |", "|---|---|---|---|---|---|"]
    for name, file in files.items():
        entry = certificate["models"][name]
        perplexity = entry.get("perplexity", {})
        lines.append(
            f"| `{file.name}` | {entry['bytes'] / 1e6:,.1f} MB | {entry.get('kl', float('nan')):.1e} "
            f"| {entry.get('top1', float('nan')):.2%} "
            f"| {_number(perplexity.get('text'))} / {_number(perplexity.get('code'))} "
            f"| {'yes' if entry['certified'] else 'no: ' + '; '.join(entry['reasons'])} |"
        )
    rows = certificate["rows"]
    return [
        *lines,
        "",
        f"Against {certificate['reference']}, on {rows['compared']} held-out rows ({rows['positions']:,} tokens). "
        f"All figures: `{certificate['name']}.certificate.json`.",
    ]


def _licence(base: Path) -> str:
    card = base / "README.md"
    if card.is_file():
        for line in card.read_text(encoding="utf-8", errors="replace").splitlines()[:60]:
            if line.startswith(("license:", "licence:")):
                return line.partition(":")[2].strip()
    return "see the base model's own page"


def _rows(data: dict[str, Any]) -> str:
    return f", {data['rows']} rows" if data.get("rows") is not None else ""


def _adapter(source: Source) -> str:
    if source.adapter is None:
        return "none (a merged model was given)"
    config = source.adapter.config
    kinds = [name for key, name in (("use_dora", "DoRA"), ("use_rslora", "rsLoRA")) if config.get(key)] or ["LoRA"]
    return f"{' '.join(kinds)}, rank {config.get('r')}, alpha {config.get('lora_alpha')}"


def _version() -> str:
    from export.gguf.llamacpp import installed_version

    return installed_version()


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
