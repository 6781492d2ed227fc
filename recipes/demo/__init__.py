"""The whole journey once: with the embedded nano model, or with SmolLM2."""
