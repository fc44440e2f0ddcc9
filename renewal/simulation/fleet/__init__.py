"""A fleet of virtual meters that goes through a whole campaign of the real product, on a virtual clock.

The world is pure (`scenario`, `draws`, `meters`, `faults`, `sites`, `sms`, `visits`, joined in `world`). Everything
else is the product: planner, ladder, ticks, gate, door, sightings and the field team's list, in a database of its own.
"""
