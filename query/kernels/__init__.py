"""Algorithms in C, header only, and their declarations."""
