"""Vocabularies, one file a family."""
