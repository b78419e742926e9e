"""What the cells of a table mean: missing values, dates, units, measurements, classes."""
