"""The project folder on this disk: read, made and written. It knows no cloud."""
