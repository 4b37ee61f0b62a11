"""The command: a module a verb; each parses, calls the library, and prints."""
