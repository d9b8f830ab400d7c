"""Lockgate, the vocabulary and the decisions that both sides share. Imports neither side."""
