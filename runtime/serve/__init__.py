"""The solver behind an OpenAI-compatible HTTP server."""
