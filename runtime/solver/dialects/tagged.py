"""Formats with tokens of their own for an interpreter, which no chat template describes.

openmath: NVIDIA-NeMo/Skills, prompt/code_tags/openmath.yaml. llama-ipython: meta-llama/llama-models,
models/llama3_1/prompt_format.md. internlm: InternLM/InternLM, chat/chat_format.md. smol-code: SmolLM3's original
template and huggingface/smolagents.
"""

from __future__ import annotations

from runtime.solver.dialects.form import Call, Frame, Notices, Result, Think
from runtime.solver.dialects.native import NativeDialect

_ASK = "<|im_end|>\n<|im_start|>assistant\n"
_USER = "<|im_start|>user\n"
_CALLS = 8

_SOLVE = (
    "Solve the following math problem, integrating natural language reasoning with Python code executions.\n"
    f"You may perform up to {_CALLS} Python code calls to assist your reasoning.\n"
    "Make sure to put the answer (and only answer) inside \\boxed{}.\n\n"
)
OPENMATH = NativeDialect(
    name="openmath",
    evidence="trained",
    why="it is an OpenMath model",
    needs=("<|im_start|>", "<|im_end|>"),
    frame=Frame(
        open="<|im_start|>system\n",
        close=f"<|im_end|>\n{_USER}{_SOLVE}",
        bare=f"{_USER}{_SOLVE}",
        ask=_ASK,
        next=f"<|im_end|>\n{_USER}{_SOLVE}",
    ),
    think=Think(open="<think>", close="</think>"),
    # The spelling of Qwen's JSON calls with Python in it, and inside of thinking.
    call=Call(open="<tool_call>", close="</tool_call>", before="\n", after="\n", ends_on="close", in_thinking=True),
    result=Result(open="\n```output\n", close="\n```\n", continues="same_turn", limit=1000),
    notices=Notices(
        calls="```system\nRemaining code executions: {left}. You will not be able to call code when you run out of "
        "executions.\n```\n",
        over="You have run out of code executions!",
        outside=True,
    ),
    sampling={"temperature": 0.6, "top_p": 0.95},
    limits={"max_calls": _CALLS, "max_tokens": 32768},
)

_HEAD = "<|start_header_id|>{}<|end_header_id|>\n\n"
_IPYTHON = f"{_HEAD.format('system')}Environment: ipython"
LLAMA_IPYTHON = NativeDialect(
    name="llama-ipython",
    evidence="trained",
    why="its template speaks of `Environment: ipython`",
    needs=("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|eom_id|>", "<|python_tag|>"),
    frame=Frame(
        open=f"{_IPYTHON}\n",
        close=f"<|eot_id|>{_HEAD.format('user')}",
        bare=f"{_IPYTHON}<|eot_id|>{_HEAD.format('user')}",
        ask=f"<|eot_id|>{_HEAD.format('assistant')}",
        next=f"<|eot_id|>{_HEAD.format('user')}",
        suffix="\n\nPut the final answer within \\boxed{}.",
    ),
    call=Call(open="<|python_tag|>", close="<|eom_id|>", ends_on="close", lead=""),
    result=Result(
        open=f"{_HEAD.format('ipython')}completed\n[stdout]\n",
        close=f"\n[/stdout]<|eot_id|>{_HEAD.format('assistant')}",
    ),
)

INTERNLM = NativeDialect(
    name="internlm",
    evidence="trained",
    why="its vocabulary has <|interpreter|> and <|action_start|>",
    needs=("<|im_start|>", "<|im_end|>", "<|action_start|>", "<|action_end|>", "<|interpreter|>"),
    frame=Frame(
        open="<|im_start|>system\n",
        system="You solve mathematical problems with the help of Python. Put the final answer within \\boxed{}.",
        plain_system="You solve mathematical problems. Put the final answer within \\boxed{}.",
        close="<|im_end|>\n<|im_start|>system name=<|interpreter|>\n"
        "Python code is run in a stateful Jupyter environment, and its output is returned. Write it like this:\n"
        "```python\nprint(1 + 1)\n```"
        f"<|im_end|>\n{_USER}",
        ask=_ASK,
        next=f"<|im_end|>\n{_USER}",
    ),
    call=Call(
        open="<|action_start|><|interpreter|>",
        close="<|action_end|>",
        decode="fence",
        before="\n",
        ends_on="close",
        lead="",
    ),
    result=Result(
        open="\n<|im_end|>\n<|im_start|>environment name=<|interpreter|>\n",
        close=_ASK,
    ),
    limits={"max_calls": 5},
)

_TOOLS = (
    "### Tools\n\nPython code between <code> and </code> is run in a stateful Jupyter notebook, whose state persists "
    "between calls, and its output is returned. Put the final answer within \\boxed{}."
)
SMOL_CODE = NativeDialect(
    name="smol-code",
    evidence="trained",
    why="it is a SmolLM3",
    needs=("<|im_start|>", "<|im_end|>"),
    frame=Frame(
        open=f"<|im_start|>system\n{_TOOLS}\n\n",
        close=f"<|im_end|>\n{_USER}",
        bare=f"<|im_start|>system\n{_TOOLS}<|im_end|>\n{_USER}",
        ask=_ASK,
        next=f"<|im_end|>\n{_USER}",
    ),
    plain=Frame(
        open="<|im_start|>system\n",
        system="Reason step by step, and put the final answer within \\boxed{}.",
        close=f"<|im_end|>\n{_USER}",
        ask=_ASK,
        next=f"<|im_end|>\n{_USER}",
    ),
    think=Think(open="<think>", close="</think>", off=f"{_ASK}<think>\n\n</think>\n"),
    call=Call(open="<code>", close="</code>", before="\n", after="\n", ends_on="close"),
    result=Result(open=f"<|im_end|>\n{_USER}", close=_ASK, quiet=f"{_ASK}<think>\n\n</think>\n"),
)
