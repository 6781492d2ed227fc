"""Reinforcement with executed answers: rollouts by llama.cpp, rewards by the grader, updates of an adapter in torch."""
