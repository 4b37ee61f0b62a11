"""What every room stands on: whole files, the cache folder, zip layout, memory."""
