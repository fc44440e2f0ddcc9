"""What jitter does to the days on which a production run ends. Pure: numbers go in, histograms come out."""
