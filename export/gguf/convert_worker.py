"""The process in which llama.cpp's converter runs: `python -m export.gguf.convert_worker SPEC.json`.

The converter is run unchanged but for four answers it cannot find in a Hugging Face folder: which token ends a turn
(`<|endofmessage|>`, beside the base's own end of sequence), whether BOS is added, the pre-tokenizer of a byte-level
vocabulary it does not know by hash, and that a Phi's vocabulary is byte-level. Its own `gguf` package comes
first on the path: PyPI's of the same number differs.
"""

from __future__ import annotations

import importlib
import json
import runpy
import sys
from pathlib import Path
from typing import Any


def main(spec_file: str) -> None:
    """Run the converter as the JSON file `spec_file` says."""
    spec = json.loads(Path(spec_file).read_text(encoding="utf-8"))
    folder = Path(spec["llama_cpp"])
    sys.path[:0] = [str(folder), str(folder / "gguf-py")]
    gguf = importlib.import_module("gguf")
    if folder not in Path(str(gguf.__file__)).parents:
        raise SystemExit(f"gguf was imported from {gguf.__file__}, not from {folder}")
    if "end_of_turn" in spec:
        _answer_special_tokens(gguf, spec)
        _answer_pre_tokenizer(importlib.import_module("conversion.base"), spec)
        if spec["kind"] == "bpe":
            # It looks for the class GPT2Tokenizer, which transformers 5 no longer writes for Phi-4's tokenizer.
            phi3 = importlib.import_module("conversion.phi").Phi3MiniModel
            phi3.set_vocab = phi3._set_vocab_gpt2
    if "adapter_strings" in spec:
        _add_strings(gguf, spec["adapter_strings"])
    script = folder / spec["script"]
    sys.argv = [str(script), *spec["arguments"]]
    runpy.run_path(str(script), run_name="__main__")


def _add_strings(gguf: Any, strings: dict[str, str]) -> None:
    """Let an adapter's file say these things: the converter of adapters has no place for metadata."""
    original = gguf.GGUFWriter.write_header_to_file

    def write_header_to_file(self: Any, *args: Any, **kwargs: Any) -> None:
        for key, value in strings.items():
            if not any(key in shard for shard in self.kv_data):
                self.add_string(key, value)
        original(self, *args, **kwargs)

    gguf.GGUFWriter.write_header_to_file = write_header_to_file


def _answer_special_tokens(gguf: Any, spec: dict[str, Any]) -> None:
    original = gguf.SpecialVocab.add_to_gguf

    def add_to_gguf(self: Any, writer: Any, quiet: bool = False) -> None:
        original(self, writer, quiet)
        writer.add_eot_token_id(spec["end_of_turn"])
        writer.add_add_bos_token(spec["adds_bos"])
        writer.add_add_eos_token(False)
        if spec["eos"] is not None:
            writer.add_eos_token_id(spec["eos"])
        if spec["space_prefix"] is not None:
            writer.add_add_space_prefix(spec["space_prefix"])
        for key, value in spec["strings"].items():
            writer.add_string(key, value)

    gguf.SpecialVocab.add_to_gguf = add_to_gguf


def _answer_pre_tokenizer(base: Any, spec: dict[str, Any]) -> None:
    original = base.TextModel.get_vocab_base_pre

    def get_vocab_base_pre(self: Any, tokenizer: Any) -> str:
        if spec["pre_tokenizer_forced"]:
            return str(spec["pre_tokenizer_forced"])
        try:
            return str(original(self, tokenizer))
        except NotImplementedError:
            if spec["pre_tokenizer_recognised"]:
                return str(spec["pre_tokenizer_recognised"])
            raise

    base.TextModel.get_vocab_base_pre = get_vocab_base_pre


if __name__ == "__main__":
    main(sys.argv[1])
