"""What is measured: each module's `measure(row)` returns the figures of one row by name, and may leave files in
`row.place`."""
