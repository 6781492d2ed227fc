"""From a merged folder to GGUF files: tokenizer, conversion, quantization; and reading such files."""
