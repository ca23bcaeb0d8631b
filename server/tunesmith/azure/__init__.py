"""The ports on the Azure SDKs; the only package that imports one. Also starts the local target."""
