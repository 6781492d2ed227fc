"""Floor 3: adapter -> merged weights -> GGUF, with a certificate that it still computes the same thing."""
