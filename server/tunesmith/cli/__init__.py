"""The terminal front: flags in, plans and progress and tables out, an exit code at the end."""
