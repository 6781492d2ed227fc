"""Every row of a file: do its labels decode to exactly its text and code blocks, and to nothing else?

    python benchmarks/qlora_masking.py [ROWS.jsonl]

With a Llama-2-style and a byte-level BPE tokenizer, both trained on the spot. The expected string is built from the
JSON row alone. Exit code 1 if one row differs.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "qlora")]


def main() -> int:
    """Check and print."""
    from factory import tokenizer_of
    from test_rows_and_labels import STYLES, assert_labels_say_exactly

    from qlora.tokens import add_control_tokens

    path = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT.parent / "shared" / "data" / "mathcodeinstruct_dev.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    wrong = 0
    for style in STYLES:
        tokenizer = tokenizer_of(style)
        add_control_tokens(tokenizer)
        started = time.perf_counter()
        failed = []
        for number, row in enumerate(rows, 1):
            try:
                assert_labels_say_exactly(row, tokenizer)
            except AssertionError:
                failed.append(number)
        wrong += len(failed)
        print(
            f"{style}: {len(rows) - len(failed)} of {len(rows)} rows exact ({time.perf_counter() - started:.0f} s)"
            + (f"; wrong: lines {failed[:10]}" if failed else "")
        )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
