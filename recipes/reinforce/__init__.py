"""Reinforcement with executed answers: llama.cpp samples, the grader rewards, torch updates."""
