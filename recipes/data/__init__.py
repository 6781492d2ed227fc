"""Data that anyone can make: check, clean, convert, grow and rebuild rows in the schema of MathCodeInstruct."""
