"""A GGUF file as a base: the weights llama.cpp computes with, the ids it makes, or the reason why not."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from export.from_gguf import PRE_TOKENIZERS, base_folder, tokenizer_of
from export.gguf.file import read_gguf
from export.merge.source import gguf_facts
from runtime.engine.llama.engine import LlamaEngine
from runtime.errors import InputError, ModelError
from runtime.files import sha256_file
from runtime.likeness import Likeness
from runtime.settings import EngineSettings
from tests.runtime.gguf_factory import write_adapter, write_model

STRINGS = (
    "Hello World",
    " Hello",
    "Hello ",
    "  two  spaces  ",
    "\t\n \r\n\n",
    "don't I'LL we'Ve",
    "3.14159 12345 007",
    "x=1;y_2==3",
    "naïve café Ångström",
    "ünïcödé ß ẞ",
    "日本語とEnglish",
    "Привет, мир!",
    "ؿ ݣ ﷺ",
    "\U0001f680 (normal) \U0001f636\u200d\U0001f32b\ufe0f",
    "a\xa0b\u3000c\u2028d",
    "def f(x):\n    return x ** 2\n",
    "<|endoftext|> </s> <|im_end|>",
    "\x14\U0001f974 \x1d",
    "1½ Ⅷ ٤٥",
    "",
)


def fuzz(count: int) -> list[str]:
    draw = random.Random(0)
    pools = [range(32, 127), range(1, 0x250), range(0x250, 0x3000), range(0x4E00, 0x9FFF), range(0x1F300, 0x1FAFF)]
    pools.append([9, 10, 13, 32, 0xA0, 0x85, 0x2028, 0x3000, 0x200B])
    return ["".join(chr(draw.choice(draw.choice(pools))) for _ in range(draw.randint(1, 30))) for _ in range(count)]


def assert_same_ids(file: Path, texts: list[str]) -> None:
    backend = tokenizer_of(read_gguf(file)).backend_tokenizer
    backend.encode_special_tokens = True
    with LlamaEngine(file, EngineSettings(n_ctx=64), vocab_only=True) as engine:
        for text in texts:
            wanted = engine.vocabulary.tokenize(text, special=False)
            assert backend.encode(text, add_special_tokens=False).ids == wanted, text


def write_byte_level(path: Path, pre: str | None, *, without: str = "") -> Path:
    """A vocabulary of single bytes and some words, in a file without weights."""
    from tokenizers.pre_tokenizers import ByteLevel

    writer = gguf.GGUFWriter(path, "llama")
    alphabet = [char for char in sorted(ByteLevel.alphabet()) if char not in without]
    words = ["th", "he", "Ġt", "Ġth", "in", "er", "ĊĊ", "ĠĠ", "12", "00", "123", "ðŁ", "ĠðŁ", "'s", "re"]
    merges = [f"{word[:-1]} {word[-1]}" for word in words if len(word) == 2] + ["Ġ th", "12 3", "Ġ ðŁ"]
    writer.add_context_length(64)
    writer.add_embedding_length(64)
    writer.add_block_count(1)
    writer.add_head_count(4)
    writer.add_feed_forward_length(64)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    if pre is not None:
        writer.add_tokenizer_pre(pre)
    tokens = [*alphabet, *words, "<|end|>"]
    writer.add_token_list(tokens)
    writer.add_token_types([int(gguf.TokenType.NORMAL)] * (len(tokens) - 1) + [int(gguf.TokenType.CONTROL)])
    writer.add_token_merges(merges)
    writer.add_eos_token_id(len(tokens) - 1)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.mark.parametrize("pre", sorted(PRE_TOKENIZERS))
def test_the_rebuilt_pre_tokenizer_gives_llama_cpp_s_ids(tmp_path: Path, pre: str) -> None:
    assert_same_ids(write_byte_level(tmp_path / "vocabulary.gguf", pre), [*STRINGS, *fuzz(300)])


def test_a_byte_without_a_token_does_not_join_what_stands_beside_it(tmp_path: Path) -> None:
    file = write_byte_level(tmp_path / "vocabulary.gguf", "smollm", without="Ĕ")
    assert_same_ids(file, [" \x14🥴", "t\x14h", *STRINGS])


def test_a_sentencepiece_vocabulary_gives_llama_cpp_s_ids(tmp_path: Path) -> None:
    assert_same_ids(write_model(tmp_path / "model.gguf"), [*STRINGS, *fuzz(300)])


def test_an_unknown_pre_tokenizer_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"pre-tokenizer bloom.*a guess would change token ids"):
        tokenizer_of(read_gguf(write_byte_level(tmp_path / "a.gguf", "bloom")))
    with pytest.raises(ModelError, match=r"pre-tokenizer default \(the file names none\)"):
        tokenizer_of(read_gguf(write_byte_level(tmp_path / "b.gguf", None)))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MATHCODER_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_in_torch_the_folder_computes_what_the_file_does_under_llama_cpp(
    tmp_path: Path, cache: Path, dtype: type
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    from export.certify.measure_worker import Measured

    file = write_model(tmp_path / "model.gguf", dtype=dtype, kv_heads=2, spread=0.2)
    folder = base_folder(file)
    assert folder.is_relative_to(cache)
    ids = list(range(3, 90))
    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32).eval()
    with torch.inference_mode():
        ours = model(input_ids=torch.tensor([ids])).logits[0].numpy()
    likeness = Likeness()
    likeness.add(Measured(str(file), n_ctx=128, threads=1).decode(ids, 0, set(range(len(ids)))), ours)
    assert likeness.kl < 1e-5
    assert likeness.top1 > 0.98
    facts = gguf_facts(folder)
    assert facts is not None
    assert facts["sha256"] == sha256_file(file)
    assert json.loads((folder / "config.json").read_text())["architectures"] == ["LlamaForCausalLM"]


def test_the_folder_is_made_once(tmp_path: Path, cache: Path) -> None:
    file = write_model(tmp_path / "model.gguf")
    said: list[str] = []
    first = base_folder(file, said.append)
    assert base_folder(file, said.append) == first
    assert len(said) == 1
    assert [path.name for path in cache.joinpath("gguf").iterdir()] == [first.name]


def changed(path: Path, **fields: object) -> Path:
    """A model's header with other fields, beside weights that do not matter."""
    writer = gguf.GGUFWriter(path, str(fields.pop("architecture", "llama")))
    for key, value in fields.items():
        if isinstance(value, int):
            writer.add_uint32(key.replace("__", "."), value)
        else:
            writer.add_string(key.replace("__", "."), str(value))
    writer.add_tensor("token_embd.weight", np.ones((8, 8), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_what_cannot_become_a_base_is_refused_with_what_it_is(tmp_path: Path, cache: Path) -> None:
    with pytest.raises(ModelError, match=r"of the architecture mamba.*architectures that can: llama"):
        base_folder(changed(tmp_path / "a.gguf", architecture="mamba"))
    with pytest.raises(ModelError, match="a mixture of experts"):
        base_folder(changed(tmp_path / "b.gguf", llama__expert_count=8))
    with pytest.raises(ModelError, match="part of a multimodal model"):
        base_folder(changed(tmp_path / "c.gguf", architecture="clip"))
    with pytest.raises(ModelError, match="is an adapter"):
        base_folder(write_adapter(tmp_path / "d.gguf"))
    with pytest.raises(ModelError, match="only a vocabulary"):
        base_folder(write_byte_level(tmp_path / "e.gguf", "smollm"))
    with pytest.raises(InputError, match="does not exist"):
        base_folder(tmp_path / "none.gguf")
    whole = write_model(tmp_path / "f.gguf")
    whole.write_bytes(whole.read_bytes()[:-1000])
    with pytest.raises(ModelError, match="cut off"):
        base_folder(whole)
    assert not list(cache.glob("gguf/*"))


def test_a_tensor_type_that_gguf_py_does_not_know_is_refused_by_name(tmp_path: Path) -> None:
    file = write_model(tmp_path / "model.gguf")
    raw = bytearray(file.read_bytes())
    place = raw.index(b"blk.0.attn_q.weight") + len(b"blk.0.attn_q.weight")
    kind = place + 4 + 2 * 8  # dimensions, their sizes, then the type
    raw[kind : kind + 4] = (777).to_bytes(4, "little")
    file.write_bytes(bytes(raw))
    with pytest.raises(ModelError, match=r"tensors of type 777.*gguf-py cannot read them"):
        base_folder(file)


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The published file, where the package that holds it is installed."""
    from recipes.places import models_folder
    from recipes.smollm2 import base_file

    file = base_file(models_folder())
    if file is None:
        pytest.skip("SmolLM2's GGUF is not here; `mathcoder models get smollm2` fetches it")
    return file


def test_smollm2_gives_llama_cpp_s_ids_on_awkward_strings(smollm2: Path) -> None:
    assert_same_ids(smollm2, [*STRINGS, *fuzz(500)])


def test_smollm2_gives_llama_cpp_s_ids_on_all_questions(smollm2: Path, shared_data: Path) -> None:
    texts = [
        json.loads(line)["question"]
        for file in sorted((shared_data / "questions").glob("*.jsonl"))
        for line in file.read_text(encoding="utf-8").split("\n")
        if line
    ]
    assert len(texts) > 10_000
    assert_same_ids(smollm2, texts)


def test_smollm2_gives_llama_cpp_s_ids_on_the_strings_it_ships(smollm2: Path, converter: Any) -> None:
    assert_same_ids(smollm2, shipped_strings(converter.folder / "models"))


def shipped_strings(models: Path) -> list[str]:
    """llama.cpp's own collection of awkward strings for tokenizers."""
    text = (models / "ggml-vocab-llama-bpe.gguf.inp").read_text(encoding="utf-8")
    strings = text.split("\n__ggml_vocab_test__\n")
    assert len(strings) > 40
    return strings


@pytest.mark.slow
def test_llama_cpp_s_own_vocabularies_give_its_ids_or_are_refused_by_name(tmp_path: Path) -> None:
    """Those with test strings beside them in the source distribution, whose architecture is trained here."""
    import tarfile

    from export.gguf.llamacpp import download, installed_version

    with tarfile.open(download(tmp_path, installed_version())) as archive:
        for member in archive:
            if "/vendor/llama.cpp/models/ggml-vocab-" in member.name:
                member.name = Path(member.name).name
                archive.extract(member, tmp_path / "models", filter="data")
    strings = shipped_strings(tmp_path / "models")
    rebuilt = []
    for file in sorted((tmp_path / "models").glob("*.gguf")):
        if read_gguf(file).architecture != "llama" or not file.with_name(f"{file.name}.inp").is_file():
            continue
        assert_same_ids(file, [*strings, *STRINGS, *fuzz(500)])
        rebuilt.append(file.stem.removeprefix("ggml-vocab-"))
    assert rebuilt == ["deepseek-coder", "deepseek-llm", "llama-bpe", "llama-spm"]
    assert_same_ids(tmp_path / "models" / "ggml-vocab-qwen2.gguf", strings)
    with pytest.raises(ModelError, match="pre-tokenizer falcon"):
        tokenizer_of(read_gguf(tmp_path / "models" / "ggml-vocab-falcon.gguf"))


@pytest.mark.slow
def test_smollm2_dequantized_to_f16_is_torch_s_model(smollm2: Path, tmp_path: Path) -> None:
    """Names and order of rows are right: the Q4_1 file and torch differ by rounding of activations."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from export.certify.measure_worker import Measured
    from recipes.gguf_check import TEXTS

    folder = base_folder(smollm2)
    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32).eval()
    measured = Measured(str(dequantized(smollm2, tmp_path / "f16.gguf")), n_ctx=256, threads=1)
    likeness = Likeness()
    for text in TEXTS:
        ids = tokenizer(text).input_ids
        measured.forget()
        with torch.inference_mode():
            ours = model(input_ids=torch.tensor([ids])).logits[0].numpy()
        likeness.add(measured.decode(ids, 0, set(range(len(ids)))), ours)
    assert likeness.kl < 1e-5
    assert likeness.top1 >= 0.999 - 1 / likeness.positions


def dequantized(file: Path, target: Path) -> Path:
    """The same file with every quantized tensor as F16, by gguf-py."""
    reader = gguf.GGUFReader(str(file))
    writer = gguf.GGUFWriter(target, "llama")
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture", "general.file_type"):
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=inner)
    for tensor in reader.tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        flat = len(values.shape) == 1
        writer.add_tensor(tensor.name, values.astype(np.float32 if flat else np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
