"""`mathcoder export`: a run folder becomes GGUF files with a certificate."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes.cli.command import Parser, positive_int, require_training, say, show_facts
from runtime.errors import InputError

if TYPE_CHECKING:
    from export.settings import ExportSettings

PICK_PROBLEMS = 100
"""Held-out questions that --pick solves with every type, unless certify.problems says otherwise."""


def parser() -> Parser:
    """Arguments of `mathcoder export`."""
    result = Parser(
        "export",
        "Merge a finished run, convert it to GGUF, quantize it, and certify that it still computes the same.",
        details="""\
RUN is a run folder, an adapter folder of plain peft or unsloth, or a merged model folder. Written are
DIR/NAME-TYPE.gguf for each type, one DIR/NAME.certificate.json, a model card and an Ollama Modelfile.
A call that was stopped goes on where it was. The exit code is 1 where the certificate does not hold.

With --adapter-only the adapter alone becomes DIR/NAME-adapter.gguf, for a GGUF of its base. That needs an adapter
without trained token rows: a run with lora.control_tokens=reuse has none. Where the run's base was a GGUF file
that is still there, the adapter is certified on that very file, and refused on any other.""",
        examples=[
            ("mathcoder export runs/nano-1a2b3c4d", "the types that the run's recipe names"),
            ("mathcoder export runs/nano-1a2b3c4d --quant Q4_K_M,Q8_0 --out models", "two types, elsewhere"),
            ("mathcoder export runs/x --adapter-only", "the adapter alone, for a base GGUF that is there already"),
            ("mathcoder export --check model.gguf", "what is in a GGUF file, and what the solver will do with it"),
        ],
        see_also=["train", "solve", "models"],
        usage="mathcoder export RUN [--quant A,B] [--out DIR] [options] [key=value ...]\n"
        "       mathcoder export RUN --adapter-only [--out DIR] [--json]\n"
        "       mathcoder export --check FILE.gguf [--json]",
    )
    result.add_argument("run", nargs="?", metavar="RUN", help="run, adapter or merged folder")
    result.add_argument("overrides", nargs="*", metavar="key=value", help="export settings, e.g. certify.rows=32")
    result.add_argument("--quant", metavar="A,B", help="llama.cpp types, e.g. Q4_K_M,Q8_0,F16 (default: the recipe's)")
    result.add_argument("--out", type=Path, metavar="DIR", help="where the files go (default RUN/export)")
    result.add_argument(
        "--pick", type=float, metavar="SHARE", help="keep the smallest type that solves this share of F16's problems"
    )
    result.add_argument(
        "--llama-cpp",
        type=Path,
        metavar="PATH",
        help="llama.cpp's converter: a folder, or the .tar.gz source distribution of llama-cpp-python "
        "(default: fetched once)",
    )
    result.add_argument("--adapter-only", action="store_true", help="write the adapter alone, merge nothing")
    result.add_argument("--threads", type=positive_int, metavar="N", help="threads for quantizing (default: all cores)")
    result.add_argument("--no-certificate", action="store_true", help="do not compare the files with the trained model")
    result.add_argument("--check", type=Path, metavar="FILE", help="look at a GGUF file instead")
    result.add_argument("--json", action="store_true", help="print the result as JSON on standard output")
    return result


def run(args: argparse.Namespace) -> int:
    """Export, or check a file."""
    if args.check is not None:
        if args.run is not None:
            raise InputError("--check looks at one file and takes no RUN", "nothing was done", "leave RUN away")
        return _check(args.check, as_json=args.json)
    if args.run is None:
        raise InputError("RUN is missing", "nothing was exported", "give a run folder, e.g. one below runs/")
    require_training("export")
    if args.adapter_only:
        return _adapter_only(args)
    from export.pipeline import export
    from runtime.show.console import make_console

    settings = settings_of(args)
    console = make_console(stderr=True)
    summary = export(args.run, settings, args.out, console=console)
    if args.json:
        facts = {
            "name": summary.name,
            "files": {name: str(path) for name, path in summary.files.items()},
            "certificate": None if summary.certificate is None else str(summary.certificate),
            "certified": summary.certified,
            "picked": summary.picked,
            "seconds": summary.seconds,
        }
        print(json.dumps(facts, indent=2))
    elif summary.files:
        first = summary.files.get(summary.picked or "", next(iter(summary.files.values())))
        console.print(f"Next: [bold]mathcoder chat {first}[/]", soft_wrap=not console.is_terminal)
    return 0 if summary.ok else 1


def _adapter_only(args: argparse.Namespace) -> int:
    given = [name for name in ("quant", "pick") if getattr(args, name) is not None]
    if given:
        raise InputError(
            f"--adapter-only and --{given[0]} exclude each other",
            "nothing was exported",
            f"an adapter has one form; leave --{given[0]} away, or leave --adapter-only away to merge",
        )
    from export.gguf.adapter import export_adapter

    path = export_adapter(
        args.run,
        settings_of(args),
        args.out,
        on_note=lambda note: say(f"note: {note}; nothing compares the adapter's file with the adapter"),
    )
    if args.json:
        print(json.dumps({"adapter": str(path)}, indent=2))
        return 0
    certificate = _certify_adapter(args, path)
    told = "not certified: the base's GGUF is not known" if certificate is None else _adapter_verdict(certificate)
    say(f"{path}  {path.stat().st_size / 1e6:.1f} MB; {told}")
    say(f"Next: mathcoder chat BASE.gguf --lora {path}")
    say(f"or:   llama-server -m BASE.gguf --lora {path}")
    return 0 if certificate is None or certificate["certified"] else 1


def _certify_adapter(args: argparse.Namespace, adapter: Path) -> dict[str, Any] | None:
    """Hold the adapter against the run on the very file its base came from, where that is still there."""
    from export.certify.adapter import certify_adapter
    from export.certify.certify import write_certificate
    from export.merge.source import open_source
    from runtime.files import sha256_file

    settings = settings_of(args)
    source = open_source(args.run, settings)
    base = Path(source.gguf["path"]) if source.gguf is not None and "path" in source.gguf else None
    if base is None or source.held_out is None or settings.certify.rows == 0 or not base.is_file():
        return None
    if source.gguf is None or sha256_file(base) != source.gguf["sha256"]:
        return None
    certificate = certify_adapter(source, adapter, base, settings)
    write_certificate(certificate, adapter.with_name(f"{adapter.stem}.certificate.json"))
    return certificate


def _adapter_verdict(certificate: dict[str, Any]) -> str:
    figures = f"on {certificate['base']['file']}: KL {certificate['kl']:.1e}, top-1 {certificate['top1']:.2%}"
    return f"{'certified' if certificate['certified'] else 'NOT certified'} {figures}"


def settings_of(args: argparse.Namespace) -> ExportSettings:
    """Export settings: those of the run's recipe, then the command line.

    Raises:
        RecipeError: a setting does not validate.
    """
    from pydantic import ValidationError

    from export.settings import ExportSettings
    from recipes.schema import mistakes_in

    values: dict[str, Any] = _recipe_section(Path(args.run))
    for override in args.overrides:
        _set(values, override)
    for name, value in (("quant", args.quant), ("pick", args.pick), ("threads", args.threads)):
        if value is not None:
            values[name] = value
    if args.llama_cpp is not None:
        values["llama_cpp"] = args.llama_cpp
    if args.pick is not None and not (values.get("certify") or {}).get("problems"):
        values["certify"] = {**(values.get("certify") or {}), "problems": PICK_PROBLEMS}
    if args.no_certificate:
        values["certify"] = {**(values.get("certify") or {}), "rows": 0}
    try:
        return ExportSettings.model_validate(values)
    except ValidationError as error:
        raise mistakes_in("the export settings", error, "export.") from None


def _recipe_section(run: Path) -> dict[str, Any]:
    """The `export` section of the recipe in a run folder; nothing where there is none."""
    from recipes.yaml_text import read_yaml

    recipe = run / "recipe.yaml"
    section = read_yaml(recipe, "nothing was exported").get("export") if recipe.is_file() else None
    return dict(section) if isinstance(section, dict) else {}


def _set(values: dict[str, Any], override: str) -> None:
    import yaml

    from recipes.yaml_text import load_yaml

    key, equals, text = override.partition("=")
    if not equals or not key:
        raise InputError(f"{override!r} is not of the form key=value", "", "write e.g. certify.rows=32")
    *outer, last = key.removeprefix("export.").split(".")
    section = values
    for part in outer:
        inner = section.get(part)
        section[part] = dict(inner) if isinstance(inner, dict) else {}
        section = section[part]
    try:
        section[last] = load_yaml(text)
    except yaml.YAMLError:
        section[last] = text


def _check(path: Path, *, as_json: bool) -> int:
    from export.certify.check import check_gguf

    report = check_gguf(path)
    if as_json:
        print(json.dumps(report.as_dict(), indent=2, default=str))
        return 0 if report.ok else 1
    from rich.text import Text

    from runtime.show.console import make_console

    console = make_console()
    show_facts(((name, str(value)) for name, value in report.facts.items()), console)
    for warning in report.warnings:
        console.print(Text(f"note: {warning}", style="yellow"))
    for problem in report.problems:
        console.print(Text(f"problem: {problem}", style="red"))
    if report.ok:
        how = "" if report.dialect == "lce" else f" with --dialect {report.dialect}"
        console.print(Text(f"The solver can use this file{how}.", style="green"))
    return 0 if report.ok else 1
