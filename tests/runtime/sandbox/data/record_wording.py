"""Record in `wording.json` what Python 3.9 says of each snippet: `python3.9 ./record_wording.py` in this folder.

A snippet is parsed as IPython parses a cell, and run where it parses. Add one with an empty answer, then run this.
"""

import ast
import codeop
import json
import sys
import warnings
from pathlib import Path

FILE = Path(__file__).with_name("wording.json")


def parse(code, **options):
    """Compile `code` as IPython does."""
    flags = codeop.Compile().flags
    tree = compile(code + "\n", "<ipython-input-1-0>", "exec", flags | ast.PyCF_ONLY_AST, 1, **options)
    return compile(tree, "<ipython-input-1-0>", "exec", flags, 1, **options)


def main():
    """Run them all."""
    if sys.version_info[:2] != (3, 9):
        sys.exit("this records what Python 3.9 says; run it with that")
    warnings.simplefilter("ignore")
    sys.stdin.close()
    answers = {}
    for code in json.loads(FILE.read_text()):
        try:
            exec(parse(code), {"__name__": "__main__"})
        except BaseException as error:
            message = error.msg if isinstance(error, SyntaxError) else str(error)
            answers[code] = [type(error).__name__, message]
        else:
            sys.exit(f"{code!r} raises nothing")
    FILE.write_text(json.dumps(answers, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
