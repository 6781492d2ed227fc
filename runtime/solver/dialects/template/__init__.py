"""Dialects derived from the chat template of a model's file."""

from runtime.solver.dialects.template.derive import Reading, derive
from runtime.solver.dialects.template.record import as_record, from_record, read_template

__all__ = ["Reading", "as_record", "derive", "from_record", "read_template"]
