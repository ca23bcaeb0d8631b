"""The project folder on this disk: read, made and written. No cloud, no sentence of its own decided."""
