"""Where a person starts: the `mathcoder` command, YAML recipes, the embedded nano model."""
