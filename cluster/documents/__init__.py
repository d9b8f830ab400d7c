"""Documents that people write, HCL or JSON, as trees that remember their lines. Pure: text in, values out."""
