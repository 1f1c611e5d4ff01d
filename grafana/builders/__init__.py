"""The dashboards of Banken, one module for each."""
