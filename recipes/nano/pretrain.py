"""Pre-train the nano base on plain text and code: `python -m recipes.nano.pretrain`.

The base in this repository came from this script's defaults; `base/pretrain.json` keeps the figures of its runs:
`--start` goes on from earlier weights, as was done when the wordings had grown.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes.nano.corpus import documents
from recipes.nano.tokenizer import VOCABULARY, train_tokenizer

if TYPE_CHECKING:
    import torch

BASE = Path(__file__).parent / "base"
SHARD_DOCUMENTS = 4096


def llama_config() -> Any:
    """The base's shape: Llama, 3.8 million parameters, widths multiples of 256 so that K-quants apply."""
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=8,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=None,
    )


def main() -> None:
    """Train tokenizer and weights, and write them into `--out`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=BASE)
    parser.add_argument("--tokens", type=float, default=9e6, help="training tokens (about)")
    parser.add_argument("--batch-tokens", type=int, default=4096)
    parser.add_argument("--lr", type=float, default=3e-3, help="AdamW, for embeddings and norms")
    parser.add_argument("--muon-lr", type=float, default=0.02, help="Muon, for the matrices in between")
    parser.add_argument("--workers", type=int, default=1, help="processes that write documents")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="go on from this folder's weights and tokenizer")
    parser.add_argument("--end", type=float, default=0.0, help="share of the learning rates at which to end")
    parser.add_argument("--nf4", action="store_true", help="learn to live with weights rounded to 4 bits")
    args = parser.parse_args()
    if args.start is None:
        train_tokenizer(args.out, seed=args.seed)
    else:
        shutil.copytree(args.start, args.out, dirs_exist_ok=True)
    pretrain(args)


def pretrain(args: argparse.Namespace) -> None:
    """One pass over freshly drawn documents: warm-up, then a linear decay to `--end`."""
    import torch
    from transformers import LlamaForCausalLM

    torch.manual_seed(args.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        _keep_freed_memory()
    earlier: list[dict[str, Any]] = []
    if args.start is None:
        model = LlamaForCausalLM(llama_config()).to(device)
    else:
        model = LlamaForCausalLM.from_pretrained(str(args.start), dtype=torch.float32).to(device)
        earlier = json.loads((args.start / "pretrain.json").read_text(encoding="utf-8"))
    body = torch.compile(model.model, dynamic=True)
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    optimizers = [
        torch.optim.Muon(matrices, lr=args.muon_lr, weight_decay=0.01, momentum=0.95),
        torch.optim.AdamW(others, lr=args.lr, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    peaks = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    began, seen, average = time.perf_counter(), 0, math.nan
    for step in itertools.count():
        progress = seen / args.tokens
        if progress >= 1:
            break
        scale = min(1.0, (step + 1) / 100) * (1 - progress * (1 - args.end))
        for optimizer, peak in zip(optimizers, peaks, strict=True):
            optimizer.param_groups[0]["lr"] = peak * scale
        if step == 0:
            stream = _batches(args.out, args.batch_tokens, args.workers, args.seed)
        input_ids, supervised = (tensor.to(device) for tensor in next(stream))
        with _rounded(matrices, blocks=args.nf4):
            loss = _loss(body, model.lm_head, input_ids, supervised)
            loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        seen += int(supervised.sum())
        if step % 50 == 0:
            value = loss.item()
            average = value if math.isnan(average) else 0.8 * average + 0.2 * value
            rate = seen / (time.perf_counter() - began)
            print(f"step {step:6d}  tokens {seen / 1e6:7.2f} M  loss {value:.4f}  {rate:,.0f} tokens/s", flush=True)
            if step % 500 == 0 and step:
                _save(model, args, seen, average, began, earlier)
    _save(model, args, seen, average, began, earlier)


def _keep_freed_memory() -> None:
    """Have glibc reuse large freed buffers: fresh pages for every activation cost a tenth of the time."""
    import ctypes

    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        m_trim_threshold, m_mmap_threshold = -1, -3
        libc.mallopt(m_mmap_threshold, 1 << 30)
        libc.mallopt(m_trim_threshold, 2**31 - 1)


NF4 = (
    *(-1.0, -0.6961928, -0.5250731, -0.3949175, -0.2844414, -0.1847734, -0.0910500, 0.0),
    *(0.0795803, 0.1609302, 0.2461123, 0.3379152, 0.4407098, 0.5626170, 0.7229568, 1.0),
)
"""The sixteen values of 4-bit NormalFloat (QLoRA, arXiv 2305.14314, appendix E)."""


@contextmanager
def _rounded(matrices: list[torch.Tensor], *, blocks: bool) -> Iterator[None]:
    """Weights rounded to NF4 in blocks of 64 during forward and backward, whole again for the update.

    Fine-tuning reads the base in 4 bits. A base this small loses a fifth of its numbers to that rounding unless it has
    learned to live with it; the gradient passes straight through.
    """
    import torch

    if not blocks:
        yield
        return
    whole = [matrix.detach().clone() for matrix in matrices]
    values = torch.tensor(NF4, device=matrices[0].device)
    borders = (values[1:] + values[:-1]) / 2
    with torch.no_grad():
        for matrix in matrices:
            rows = matrix.view(-1, 64)
            scale = rows.abs().amax(1, keepdim=True).clamp_min(1e-12)
            rows.copy_(values[torch.bucketize(rows / scale, borders)] * scale)
    yield
    with torch.no_grad():
        for matrix, original in zip(matrices, whole, strict=True):
            matrix.copy_(original)


def _loss(body: Any, head: Any, input_ids: torch.Tensor, supervised: torch.Tensor) -> torch.Tensor:
    """Mean next-token cross-entropy; both arguments are (documents, tokens), padded on the right.

    Causal attention never looks right, so padding there needs no attention mask.
    """
    import torch

    with torch.autocast(input_ids.device.type, torch.bfloat16, enabled=input_ids.is_cuda):
        hidden = body(input_ids, use_cache=False).last_hidden_state[:, :-1]
        logits = head(hidden[supervised[:, 1:]])
    return torch.nn.functional.cross_entropy(logits.float(), input_ids[:, 1:][supervised[:, 1:]])


def _batches(
    tokenizer_folder: Path, batch_tokens: int, workers: int, seed: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of whole documents of about equal length, (documents, tokens) each, with what is no padding."""
    import torch

    rng = random.Random(seed)
    with ProcessPoolExecutor(workers) as pool:
        pending = [pool.submit(_shard, tokenizer_folder, seed * 1_000_000 + n) for n in range(workers + 1)]
        for number in itertools.count(workers + 1):
            rows = sorted(pending.pop(0).result(), key=len)
            pending.append(pool.submit(_shard, tokenizer_folder, seed * 1_000_000 + number))
            groups: list[list[list[int]]] = [[]]
            for row in rows:
                if groups[-1] and len(row) * (len(groups[-1]) + 1) > batch_tokens:
                    groups.append([])
                groups[-1].append(row)
            rng.shuffle(groups)
            for group in groups:
                width = max(map(len, group))
                ids = torch.zeros(len(group), width, dtype=torch.long)
                real = torch.zeros(len(group), width, dtype=torch.bool)
                for index, row in enumerate(group):
                    ids[index, : len(row)] = torch.tensor(row)
                    real[index, : len(row)] = True
                yield ids, real


def _shard(tokenizer_folder: Path, seed: int) -> list[list[int]]:
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor(model_file=str(tokenizer_folder / "tokenizer.model"))
    texts = list(itertools.islice(documents(seed), SHARD_DOCUMENTS))
    return [[processor.bos_id(), *ids, processor.eos_id()] for ids in processor.encode(texts)]


def _save(
    model: Any, args: argparse.Namespace, seen: int, loss: float, began: float, earlier: list[dict[str, Any]]
) -> None:
    import torch

    copy = type(model)(model.config)
    copy.load_state_dict(model.state_dict())
    copy.to(torch.float16).save_pretrained(str(args.out))
    figures = {
        "tokens": seen,
        "loss": round(loss, 4),
        "minutes": round((time.perf_counter() - began) / 60, 1),
        "parameters": model.num_parameters(),
        "arguments": {key: str(value) for key, value in vars(args).items() if key not in ("out", "start")},
    }
    (args.out / "pretrain.json").write_text(json.dumps([*earlier, figures], indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
