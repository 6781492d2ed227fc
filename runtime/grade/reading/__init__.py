"""From the text of an answer to its shape: spelling, tokens, expressions, units, sentences."""
