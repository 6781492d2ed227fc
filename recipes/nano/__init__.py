"""The embedded nano model: its problems, its pre-training and its files."""
