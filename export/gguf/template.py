"""The block format as a chat template, for programs that do not know it (llama-server, Ollama).

Built from the names in `runtime.lce`; a test holds it equal to `runtime.lce.render`. Where a conversation has no system
message it gets the one every training row has, so that a stock client stays inside what the model has seen.
"""

from __future__ import annotations

from collections.abc import Mapping

from runtime.lce import (
    ASSISTANT,
    BLOCK_TOKENS,
    DEFAULT_SYSTEM,
    END_OF_BLOCK,
    END_OF_MESSAGE,
    EXECUTION,
    SYSTEM,
    TEXT,
    USER,
)


def chat_template(*, adds_bos: bool, names: Mapping[str, str] | None = None) -> str:
    """The Jinja template. Content is a string (one text block) or a list of blocks in the hub schema.

    Args:
        adds_bos: whether the tokenizer puts BOS first.
        names: the tokens that play the control tokens' roles, where they are others.
    """
    return renamed(_template(adds_bos=adds_bos), names)


def renamed(text: str, names: Mapping[str, str] | None) -> str:
    """`text` with every control token replaced by the token that plays its role."""
    for token, name in (names or {}).items():
        text = text.replace(token, name)
    return text


def _template(*, adds_bos: bool) -> str:
    roles = {"system": SYSTEM, "user": USER, "assistant": ASSISTANT}
    pieces = [
        "{{- bos_token -}}" if adds_bos else "",
        "{%- set roles = {" + ", ".join(f"'{role}': '{token}'" for role, token in roles.items()) + "} -%}",
        "{%- set marks = {" + ", ".join(f"'{name}': '{token}'" for name, token in BLOCK_TOKENS.items()) + "} -%}",
        "{%- if not messages or messages[0]['role'] != 'system' -%}",
        f"{{{{- '{SYSTEM}{TEXT}{DEFAULT_SYSTEM}{END_OF_BLOCK}{END_OF_MESSAGE}' -}}}}",
        "{%- endif -%}",
        "{%- for message in messages -%}",
        "{{- roles[message['role']] -}}",
        "{%- if message['content'] is string -%}",
        f"{{{{- '{TEXT}' + message['content'] + '{END_OF_BLOCK}' -}}}}",
        "{%- else -%}",
        "{%- for block in message['content'] -%}",
        "{{- marks[block['type']] -}}",
        "{%- if block['content'] is defined -%}{{- block['content'] -}}{%- else -%}{{- block['text'] -}}{%- endif -%}",
        f"{{{{- '{END_OF_BLOCK}' -}}}}",
        "{%- endfor -%}",
        "{%- endif -%}",
        f"{{{{- '{END_OF_MESSAGE}' -}}}}",
        "{%- endfor -%}",
        f"{{%- if add_generation_prompt -%}}{{{{- '{ASSISTANT}' -}}}}{{%- endif -%}}",
    ]
    return "".join(pieces)


def modelfile(gguf_name: str, context: int) -> str:
    """An Ollama Modelfile for a GGUF beside it. Ollama runs no code: it shows the blocks the model writes.

    The stop at `<|execution|>` hands the turn back where a result would have to come from an interpreter.
    """
    template = (
        f"{SYSTEM}{TEXT}{{{{ .System }}}}{END_OF_BLOCK}{END_OF_MESSAGE}"
        f"{USER}{TEXT}{{{{ .Prompt }}}}{END_OF_BLOCK}{END_OF_MESSAGE}{ASSISTANT}{{{{ .Response }}}}"
    )
    lines = [
        f"FROM ./{gguf_name}",
        f'SYSTEM """{DEFAULT_SYSTEM}"""',
        f'TEMPLATE """{template}"""',
        f'PARAMETER stop "{END_OF_MESSAGE}"',
        f'PARAMETER stop "{EXECUTION}"',
        f"PARAMETER num_ctx {context}",
        "PARAMETER temperature 0",
    ]
    return "\n".join(lines) + "\n"
