"""azurebox: an Azure that lives on this machine.

It speaks Azure Resource Manager, Entra tokens and Azure Files to the unmodified Azure SDKs, keeps
file shares in folders and runs containers as local processes. It imports nothing of tunesmith.
"""
