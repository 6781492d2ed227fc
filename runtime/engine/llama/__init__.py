"""llama.cpp in this process: the model, its vocabulary, and decoders with a KV cache of their own."""
