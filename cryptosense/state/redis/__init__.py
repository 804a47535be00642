"""State in Redis or Valkey, shared by all instances. Only this package knows the driver."""
