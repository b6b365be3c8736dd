"""The migrations of the exports' table."""
