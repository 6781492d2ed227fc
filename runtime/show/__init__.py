"""What a solution looks like: panels, mathematics and pictures at a terminal, notebooks and documents in files."""
