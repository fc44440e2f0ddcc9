"""Importing an inventory: manifests, bundles and other products' databases become devices and certificates.

One direction: `sources` cut a source into blocks that end between records; `parsing` turns a block into staged rows
and rejects, in any process, without a database; `loading` puts staged rows into the inventory; `runs` keeps the
books, so that every block is merged exactly once.
"""
