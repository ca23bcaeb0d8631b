"""Containers as local processes, and the way in to those that serve."""
