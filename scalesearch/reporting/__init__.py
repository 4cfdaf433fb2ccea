"""A results folder, brought up to date from its records.

What a person sees while images come and networks are trained; all of it on standard error.
"""
