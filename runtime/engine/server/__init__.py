"""An OpenAI-compatible server as an engine: one request a sequence, its stream read as tokens."""
