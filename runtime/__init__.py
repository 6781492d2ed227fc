"""The laptop side: block format, sandbox, llama.cpp engine, solve loop, grading and the terminal.

Nothing here imports torch, transformers, qlora, export or recipes.
"""
