"""Where the marks of charts stand. Pure: values go in, rectangles and positions come out."""
