"""`mathcoder serve`: the solver behind an OpenAI-compatible endpoint."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from recipes.cli.command import Parser, positive_int, say


def parser() -> Parser:
    """Arguments of `mathcoder serve`."""
    from recipes.cli.solving import add_model_arguments, add_solver_arguments

    result = Parser(
        "serve",
        "Offer the solver, with its code execution, to other programs as an OpenAI-compatible chat endpoint.",
        details="""\
Answers are Markdown: text, fenced Python, and what the code printed in fenced `output` blocks. Only this machine
can connect, and only with the key, which is printed at the start (or comes from MATHCODER_KEY).""",
        examples=[
            ("mathcoder serve nano", "on http://127.0.0.1:8080/v1 with a new key"),
            ("MATHCODER_KEY=secret mathcoder serve model.gguf --port 9000", "with a key of your own"),
        ],
        see_also=["solve", "chat"],
    )
    result.add_argument("model", nargs="?", metavar="MODEL", help="a GGUF file, or a name from `mathcoder models`")
    result.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="a loopback address")
    result.add_argument("--port", type=int, default=8080, metavar="N", help="0 takes a free one")
    result.add_argument("--slots", type=positive_int, default=4, metavar="N", help="requests solved together")
    result.add_argument("--waiting", type=int, default=8, metavar="N", help="further requests that may wait")
    result.add_argument(
        "--allow-remote",
        action="store_true",
        help="allow other addresses: whoever has the key can run code in the sandbox",
    )
    add_model_arguments(result)
    add_solver_arguments(result)
    return result


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    from recipes.cli.solving import model_of, read_call
    from recipes.models import name_of
    from runtime.serve import SolverServer

    call = read_call(args)
    key = os.environ.get("MATHCODER_KEY") or None
    with call.load(args.model) as engine:
        server = SolverServer(
            engine,
            call.settings,
            limits=call.limits,
            model_name=name_of(Path(str(model_of(args, args.model)))).removesuffix(".gguf"),
            host=args.host,
            port=args.port,
            key=key,
            slots=args.slots,
            waiting=args.waiting,
            allow_remote=args.allow_remote,
        )
        print(server.url, flush=True)
        say(f"key: {server.key}" if key is None else "key: from MATHCODER_KEY")
        say("Ctrl-C stops the server")
        server.serve_forever()
    return 0
