"""The solver behind an OpenAI-compatible HTTP server."""

from runtime.serve.server import SolverServer

__all__ = ["SolverServer"]
