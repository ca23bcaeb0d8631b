"""The Azure Files data plane: shares are folders on disk, reached over HTTP."""
