"""Regions by name and by the display name that Microsoft.App answers with."""

from __future__ import annotations

_DISPLAY = {
    "australiaeast": "Australia East",
    "brazilsouth": "Brazil South",
    "canadacentral": "Canada Central",
    "centralus": "Central US",
    "eastus": "East US",
    "eastus2": "East US 2",
    "francecentral": "France Central",
    "germanywestcentral": "Germany West Central",
    "italynorth": "Italy North",
    "japaneast": "Japan East",
    "koreacentral": "Korea Central",
    "northcentralus": "North Central US",
    "northeurope": "North Europe",
    "polandcentral": "Poland Central",
    "southcentralus": "South Central US",
    "southeastasia": "Southeast Asia",
    "swedencentral": "Sweden Central",
    "uksouth": "UK South",
    "westeurope": "West Europe",
    "westus": "West US",
    "westus2": "West US 2",
    "westus3": "West US 3",
}


def region_name(location: str) -> str:
    """The short form, "eastus" for "East US"."""
    return location.replace(" ", "").lower()


def display_name(location: str) -> str:
    """The long form; a region that is not in our table comes back as it was given."""
    return _DISPLAY.get(region_name(location), location)
