"""The sample set: short videos filmed by the program from real photographs, with labels known exactly."""
