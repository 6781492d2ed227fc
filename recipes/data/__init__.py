"""Check, clean, convert, grow and rebuild rows in the schema of MathCodeInstruct."""
