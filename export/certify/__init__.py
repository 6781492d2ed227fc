"""Whether an exported file computes what was trained: measured, judged and written down."""
