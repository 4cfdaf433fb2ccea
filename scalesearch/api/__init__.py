"""Functions for Python users and for the commands, composed from all rooms.

Every command calls one function of this room. ``import scalesearch`` gives them by name.
"""
