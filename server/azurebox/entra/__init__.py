"""Entra ID: tokens for the ARM and Azure Files routes."""
