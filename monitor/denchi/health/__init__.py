"""What looks wrong, and why: features on a 1 s grid of session time, detectors over them, a verdict that has to be earned.

``engine.py`` drives a session through ``grid.py`` and the detectors (entry-point group ``denchi.detectors``), ``thermal_model.py``
says which heat load and surroundings explain, ``contract.py`` what the output may do, ``verdict.py`` what all of it amounts to.
"""
