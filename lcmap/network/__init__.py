"""The U-Net / DeconvNet with one or more entries (paper, section 2)."""
