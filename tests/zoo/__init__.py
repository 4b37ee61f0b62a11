"""A zoo of small classifiers that the scan is measured on."""
