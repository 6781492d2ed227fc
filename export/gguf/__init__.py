"""From a merged folder to GGUF files: tokenizer, conversion by llama.cpp, quantization; and reading such files."""
