"""A sweep on one page: `python -m analysis.dashboard NAME`.

profiles   gradient profiles in few bytes
one        one run folder -> what the page knows of it
collect    a folder of runs -> the payload, what has not changed since the last time is not read again
page       payload -> HTML
serve      the same over HTTP, while the sweep runs
"""
