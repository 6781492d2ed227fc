"""Evaluation: question sets solved, graded, counted with intervals, compared and looked at."""
