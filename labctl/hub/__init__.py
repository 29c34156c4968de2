"""The communications hub: device log, trust centre, key establishment, cluster services."""
