"""The ports on the Azure SDKs; the one package that imports them."""
