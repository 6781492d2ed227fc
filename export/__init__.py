"""Floor 3: adapter, merged weights, GGUF, and a certificate that it still computes the same."""
