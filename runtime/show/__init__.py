"""What a solution looks like: panels and pictures at a terminal, notebooks and documents in files."""
