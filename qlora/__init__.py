"""Rows to token ids to a QLoRA adapter."""
