"""Adapter to merged weights to GGUF, with a certificate that it still computes the same thing."""
