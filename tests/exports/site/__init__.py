"""A small site with workers: what its processes share is a folder, with database and files."""
