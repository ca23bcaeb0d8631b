"""Azure Resource Manager's own part: resource groups, deployments and the template engine."""
