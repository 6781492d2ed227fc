"""`harmony`, the format of gpt-oss: messages with headers, code sent to the recipient `python`.

Format: openai/harmony, docs/format.md. The line of today's date is left out, as the format allows: a prompt that
changes with the day would make no two runs alike. Malformed headers, some 4 % of turns at temperature 1 in servers that
parse them afterwards, cannot be drawn here: the reader restricts what may follow a header's tokens.
"""

from __future__ import annotations

from runtime.solver.dialects.form import Call, Frame, Header, Result, Think
from runtime.solver.dialects.native import NativeDialect

_START = (
    "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\n"
    "Knowledge cutoff: 2024-06\n\nReasoning: {effort}\n\n"
)
_TOOLS = (
    "# Tools\n\n## python\n\n"
    "Python code in a message to python is run in a stateful Jupyter notebook. python answers with the output of the "
    "cell. There is no internet access.\n\n"
)
_CHANNELS = "# Valid channels: analysis, commentary, final. Channel must be included for every message.<|end|>"
_USER = "<|start|>user<|message|>"
_SUFFIX = "\nPlease reason step by step, and put your final answer within \\boxed{}."


def _frame(tools: str) -> Frame:
    system = f"{_START.format(effort='medium')}{tools}{_CHANNELS}"
    return Frame(
        # A person's system text is a developer message and never takes the place of the system message.
        open=f"{system}<|start|>developer<|message|># Instructions\n\n",
        close=f"<|end|>{_USER}",
        bare=f"{system}{_USER}",
        ask="<|end|><|start|>assistant",
        next=f"<|end|>{_USER}",
        suffix=_SUFFIX,
    )


HARMONY = NativeDialect(
    name="harmony",
    evidence="trained",
    why="its vocabulary has the tokens of harmony",
    needs=("<|start|>", "<|channel|>", "<|message|>", "<|end|>", "<|call|>", "<|return|>"),
    frame=_frame(_TOOLS),
    plain=_frame(""),
    end="<|return|>",
    # Its channel says that a message is thinking; here is what ends one that is over budget.
    think=Think(open="", close="", force="<|end|><|start|>assistant<|channel|>final<|message|>"),
    header=Header(
        start="<|start|>",
        role="assistant",
        channel="<|channel|>",
        message="<|message|>",
        end="<|end|>",
        channels={"analysis": "thinking", "commentary": "text", "final": "final"},
        recipients=("python", "functions.python"),
    ),
    call=Call(open="", close="<|call|>", ends_on="close", in_thinking=True),
    result=Result(
        open="<|start|>python to=assistant<|channel|>{channel}<|message|>",
        close="<|end|><|start|>assistant",
        empty="[WARN] No output available. Use print() to output anything to stdout to receive the output",
    ),
    sampling={"temperature": 1.0, "top_p": 1.0},
    limits={"max_calls": 100, "max_tokens": 32768},
)
