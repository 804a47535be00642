"""State in the memory of one process, as the service kept it before the migration; time comes from a `Clock`."""
