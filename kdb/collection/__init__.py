"""What `kdb collect` does: predicted bundles of many sessions become one list of distinct ones."""
