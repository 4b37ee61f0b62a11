"""Every kind of source model: how it is recognised, read, run and handed to the converter.

The modules here import frameworks and belong into child processes;
`devdiff.exporter.sources.formats` does not, and tells the kinds apart.
"""
