"""One module for each cluster that the hub serves."""
