"""Container images as virtual environments built from locks."""
