"""The paper's ablations and more as one experiment: what each part of a row or training is worth."""
