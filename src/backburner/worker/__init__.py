"""Claim, execute, settle."""
