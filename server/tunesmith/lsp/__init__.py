"""The editor's front: every operation as a request, over stdin and stdout."""
