"""Life cycle: out of the log, another tenant, another firmware, and what is kept in writing."""
