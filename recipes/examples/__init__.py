"""Pages to read: what the toolkit does, without what makes it safe to leave alone."""
