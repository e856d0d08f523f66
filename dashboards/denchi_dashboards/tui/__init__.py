"""The Textual app: a client of the API and of nothing else; it opens no device, no journal and no output.

``app.py`` holds the connection and the keys of every page, ``present.py`` what the daemon has told, ``pages/`` a module a
page, ``panels/`` the texts of a bench, ``plot.py``, ``raster.py`` and ``traces.py`` the plots.
"""
