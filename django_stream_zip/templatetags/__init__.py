"""Template tags: `{% load zip_download %}`."""
