"""Options that several verbs share: a module a group, each adds it and reads what was given.

An option that is left out is None (or an empty list); the value is then the one that the dataclass
has, so that no default stands here.
"""
