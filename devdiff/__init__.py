"""Test the model that ships, where it ships."""

__version__ = "0.1.0"
