"""Spellings that chat templates share: tokens that end generation, and what thinking stands between."""

from __future__ import annotations

ENDS = frozenset(
    "<|im_end|> </s> <|end_of_text|> <|endoftext|> <|eot_id|> <|eom_id|> <|end|> <|observation|> <|user|> "
    "<end_of_turn> <|tool_response> <turn|> <|call|> <|return|> <｜end▁of▁sentence｜> <|END_OF_TURN_TOKEN|> <|eos|> "
    "<SPECIAL_12> [e~[ <|flush|> <|calls|> <|eot|> <|end_of_turn|> <eos> <seed:eos> <|endofturn|> <|role_end|> "
    "<|assistant_end|> <end_of_sentence> <|end_of_msg|> <｜hy_eos:opensource｜>".split()
)
"""Tokens that llama.cpp takes for the end of generation by their names (src/llama-vocab.cpp), for templates without a
vocabulary."""
THINKING = (
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),
    ("<|channel>thought\n", "<channel|>"),
    ("<seed:think>", "</seed:think>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<|think|>", "<|end|>"),
    ("<thought>", "</thought>"),
    ("<mm:think>", "</mm:think>"),
)
