"""A GGUF file as a base to train on: its configuration, dequantized weights and rebuilt tokenizer."""

from export.from_gguf.folder import base_folder, refuse_unusable
from export.from_gguf.vocabulary import PRE_TOKENIZERS, tokenizer_of

__all__ = ["PRE_TOKENIZERS", "base_folder", "refuse_unusable", "tokenizer_of"]
