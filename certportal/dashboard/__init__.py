"""The dashboard: one module of queries a block, pure geometry of its charts, and the views that put them together."""
