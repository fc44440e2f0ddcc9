"""The inventory over the API: a module a resource, and what they share."""
