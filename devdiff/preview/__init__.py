"""The samples as a model will see them, before anything is exported or compared."""
