"""`mathcoder --completion SHELL`: completions for bash, zsh and fish, from the verbs' own parsers."""

from __future__ import annotations

from recipes.cli.command import Parser
from recipes.cli.verbs import VERBS, action_module, verb_module
from runtime.errors import InputError
from runtime.text import did_you_mean

SHELLS = ("bash", "zsh", "fish")
RECIPE_VERBS = ("train", "plan")
MODEL_VERBS = ("solve", "chat", "eval", "serve")


def script(shell: str) -> str:
    """The completion script.

    Raises:
        InputError: no such shell.
    """
    if shell not in SHELLS:
        hint = did_you_mean(shell, SHELLS) if shell else ""
        raise InputError(f"completions exist for {', '.join(SHELLS)}, not for {shell!r}", "", hint or _how("bash"))
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]()


def _how(shell: str) -> str:
    return {
        "bash": "For this shell: source <(mathcoder --completion bash); for every one: put that line into ~/.bashrc",
        "zsh": "For every shell: put  source <(mathcoder --completion zsh)  into ~/.zshrc",
        "fish": "For every shell: mathcoder --completion fish > ~/.config/fish/completions/mathcoder.fish",
    }[shell]


def options_of(verb: str) -> list[str]:
    """Long options of a verb; where it has actions, those of all of them."""
    module = verb_module(verb)
    parsers: list[Parser] = [module.parser()]
    parsers += [action_module(verb, name).parser() for name in _actions(verb)]
    names = {name for parser in parsers for name in parser._option_string_actions if name.startswith("--")}
    return sorted(names | {"--debug"})


def words_of(verb: str) -> list[str]:
    """What may stand in the first place after a verb, apart from files."""
    if verb in RECIPE_VERBS:
        from recipes.places import built_in

        return built_in()
    if verb in MODEL_VERBS:
        return ["nano"]
    return _actions(verb)


def _actions(verb: str) -> list[str]:
    return list(getattr(verb_module(verb), "ACTIONS", ()))


def _bash() -> str:
    cases = "\n".join(f'    {verb}) words="{" ".join([*words_of(verb), *options_of(verb)])}" ;;' for verb in VERBS)
    return f"""\
# {_how("bash")}
_mathcoder() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} words=""
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{" ".join(VERBS)} --help --version --completion" -- "$current"))
    return
  fi
  case "${{COMP_WORDS[1]}}" in
{cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current") $(compgen -f -- "$current"))
}}
complete -o filenames -F _mathcoder mathcoder
"""


def _zsh() -> str:
    verbs = "\n".join(f"    '{verb}:{summary}'" for verb, summary in VERBS.items())
    cases = "\n".join(f"    {verb}) compadd -- {' '.join([*words_of(verb), *options_of(verb)])} ;;" for verb in VERBS)
    return f"""\
#compdef mathcoder
# {_how("zsh")}
_mathcoder() {{
  local -a verbs=(
{verbs}
  )
  if (( CURRENT == 2 )); then
    _describe verb verbs
    return
  fi
  case $words[2] in
{cases}
  esac
  _files
}}
compdef _mathcoder mathcoder
"""


def _fish() -> str:
    lines = [f"# {_how('fish')}"]
    for verb, summary in VERBS.items():
        lines.append(f"complete -c mathcoder -n __fish_use_subcommand -f -a {verb} -d '{summary}'")
        for word in words_of(verb):
            lines.append(f"complete -c mathcoder -n '__fish_seen_subcommand_from {verb}' -a {word}")
        for option in options_of(verb):
            lines.append(f"complete -c mathcoder -n '__fish_seen_subcommand_from {verb}' -l {option[2:]}")
    return "\n".join(lines) + "\n"
