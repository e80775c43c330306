"""Memory for the algorithms of SB3 itself: read anew from a window of the past at every step."""
